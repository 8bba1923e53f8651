"""The feed: signed pages of the denylist, each signed once and shared by all followers that ask for the same."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from tokensvc.core.denylist.page import Page, build_page_payload
from tokensvc.core.errors import UnavailableError
from tokensvc.core.keyring import DEFAULT_ALGORITHM
from tokensvc.core.token import DENYLIST_PAGE, sign_jws
from tokensvc.issuer.confirmation import FRESH_SECONDS

if TYPE_CHECKING:
    from tokensvc.core.denylist.position import Position
    from tokensvc.core.denylist.revocation import Revocation
    from tokensvc.issuer.mirror.mirror import Mirror
    from tokensvc.settings import Settings

_SHARED_SECONDS: Final = 0.25  # how long a signed page is handed to further followers


class Feed:
    """Cuts pages out of the mirror, waits for news, signs."""

    def __init__(self, mirror: Mirror, settings: Settings) -> None:
        self._mirror = mirror
        self._issuer = settings.issuer_url
        self._page_ttl = settings.feed_page_ttl
        self._signed: dict[tuple[Position | None, Position], tuple[float, str]] = {}

    async def next_page(self, after: Position | None, *, wait: float) -> str:
        """Return the signed page after `after`. If there is no news, wait up to `wait` seconds for some.

        Raises UnavailableError if the copy is too old to prove anything.
        """
        deadline = time.monotonic() + wait
        # Woken is not the same as changed: whoever came between the change and the call has seen it already, and waits on.
        while (
            after is not None
            and after == self._mirror.denylist.log.head
            and not self._mirror.denylist.is_released
            and time.monotonic() < deadline
        ):
            await self._mirror.denylist.wait_for_change(deadline - time.monotonic())
        return self._sign(after)

    def _sign(self, after: Position | None) -> str:
        mirror, head = self._mirror, self._mirror.denylist.log.head
        if head is None or mirror.confirmation.age_seconds > FRESH_SECONDS:
            raise UnavailableError(
                "the denylist cannot be confirmed right now; try again", reason="mirror_stale"
            )
        now = time.monotonic()
        text = self._find_signed(after, head, now)
        if text is not None:
            return text
        full, revocations = mirror.denylist.log.cut(after)
        place = (None if full else after, head)
        if (
            full and after is not None
        ):  # a cursor that is not known here gets what everybody gets who has none
            text = self._find_signed(None, head, now)
            if text is not None:
                return text
        text = self._build(place[0], head, revocations)
        self._signed = {
            at: kept for at, kept in self._signed.items() if now - kept[0] < _SHARED_SECONDS
        }
        self._signed[place] = (now, text)
        return text

    def _find_signed(self, after: Position | None, head: Position, now: float) -> str | None:
        signed_on, text = self._signed.get((after, head), (now - _SHARED_SECONDS, ""))
        return text if now - signed_on < _SHARED_SECONDS else None

    def _build(
        self, after: Position | None, head: Position, revocations: tuple[Revocation, ...]
    ) -> str:
        issued_at = int(self._mirror.confirmation.at.timestamp())
        page = Page(
            issuer=self._issuer,
            issued_at=issued_at,
            expires_at=issued_at + self._page_ttl,
            cursor=head,
            after=after,
            full=after is None,
            revocations=revocations,
        )
        key = self._mirror.signers.find(DEFAULT_ALGORITHM, self._mirror.confirmation.now)
        return sign_jws(build_page_payload(page), typ=DENYLIST_PAGE[0], key=key)
