"""The feed: signed pages of the denylist.

A page is signed once and shared by all followers that ask for the same within a moment.
"""

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

# How long a signed page is given to further followers.
_SHARED_SECONDS: Final = 0.25


class Feed:
    """Cuts pages out of this process's copy of the denylist, waits for news, signs."""

    def __init__(self, mirror: Mirror, settings: Settings) -> None:
        self._mirror = mirror
        self._issuer = settings.issuer_url
        self._page_ttl = settings.feed_page_ttl
        self._signed: dict[tuple[Position | None, Position], tuple[float, str]] = {}

    async def next_page(self, after: Position | None, *, wait: float) -> str:
        """Return the signed page after `after`, a compact JWS.

        If there is no news, wait up to `wait` seconds for some. Raises UnavailableError if the copy
        is too old to prove anything.
        """
        denylist = self._mirror.denylist
        deadline = time.monotonic() + wait
        # A follower may be woken by a change that it has seen already, if it came between the
        # change and the call. It waits on.
        while after is not None and after == denylist.log.head and not denylist.is_released:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            await denylist.wait_for_change(left)
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
        if full and after is not None:
            # A cursor that is not known here gets the snapshot that a follower without one gets.
            after = None
            text = self._find_signed(after, head, now)
            if text is not None:
                return text
        text = self._build(after, head, revocations)
        self._signed = {
            asked: signed for asked, signed in self._signed.items() if _is_shared(signed[0], now)
        }
        self._signed[after, head] = (now, text)
        return text

    def _find_signed(self, after: Position | None, head: Position, now: float) -> str | None:
        signed = self._signed.get((after, head))
        return signed[1] if signed is not None and _is_shared(signed[0], now) else None

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


def _is_shared(signed_on: float, now: float) -> bool:
    """Tell whether a page that was signed then is still given to others."""
    return now - signed_on < _SHARED_SECONDS
