"""The feed: signed pages of the denylist.

Each page is signed once and shared by all followers that ask for the same one. The last page of a
row proves that nothing is missing, so it is shared for a moment only. The pages in the middle of a
long row prove nothing of that kind and are shared for longer. Long pages are built in a thread,
with pauses, one at a time. Pages in the middle are handed out one at a time as well, with a gap
after each, so that a crowd of newcomers takes only a part of a process, and exchanges go on.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tokensvc.core.algorithm import DEFAULT_ALGORITHM
from tokensvc.core.audit_claim import shorten_claim
from tokensvc.core.denylist.page import FeedPage, write_page
from tokensvc.core.errors import UnavailableError
from tokensvc.core.token import DENYLIST_PAGE, sign_jws_text
from tokensvc.issuer.postgres_clock import FRESH_SECONDS
from tokensvc.issuer.revoking.page_date import date_page

if TYPE_CHECKING:
    from tokensvc.core.audit_claim import AuditClaim
    from tokensvc.core.audit_event import AuditHead
    from tokensvc.core.denylist.log import Cut
    from tokensvc.core.denylist.position import Position
    from tokensvc.core.token import SigningKey
    from tokensvc.issuer.mirror.mirror import Mirror
    from tokensvc.issuer.revoking.page_date import PageDate
    from tokensvc.settings import Settings

# For how long a signed page is handed to further followers. Followers accept a page in the middle
# that is older than the one before it, as long as it has not expired.
_SHARED_SECONDS: Final = 0.25
_MIDDLE_SHARED_SECONDS: Final = 20.0
_MOST_SHARED_BYTES: Final = 64 * 1024 * 1024

_SHORT: Final = 200  # entries; a page with more than that is built in the thread
_PAUSE_SECONDS: Final = 0.0005
# With it, one process hands out some 600 pages in the middle of a row per second, 60 MB.
_GAP_SECONDS: Final = 0.001
_WORTH_ZIPPING: Final = 1024  # bytes; a shorter text fits into one packet as it is
_GZIP: Final = 16 + zlib.MAX_WBITS
_LEVEL: Final = 6  # 9 takes four times as long and saves 3 % more


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedPage:
    """The body of an answer: the signed text, compressed if `is_zipped`.

    `is_last`: a follower that has applied it lacks nothing.
    """

    body: bytes
    is_zipped: bool
    is_last: bool

    def unzip(self) -> bytes:
        """Return the text."""
        return zlib.decompress(self.body, _GZIP) if self.is_zipped else self.body


@dataclass(frozen=True, slots=True)
class _PageContent:
    """What a page says besides its date. Two pages with the same content hold the same."""

    signer: str
    resets: int
    after: Position | None
    end: Position | None  # the head, if the page ends there; None for a page in the middle
    audit: AuditHead | None = None  # what the page says of the audit trail


class Feed:
    """Cuts pages out of the mirror, waits for news, signs."""

    def __init__(self, mirror: Mirror, settings: Settings) -> None:
        self._mirror = mirror
        self._issuer = settings.issuer_url
        self._page_ttl = settings.feed_page_ttl
        # A follower that gets a shared page must still have time to apply it before it expires.
        self._middle_shared = min(_MIDDLE_SHARED_SECONDS, settings.feed_page_ttl / 3)
        self._shared = _SharedPages()
        self._building: dict[_PageContent, asyncio.Task[SignedPage]] = {}
        self._turn = asyncio.Lock()  # held while a page in the middle of a row is handed out
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="feed")

    async def next_page(self, after: Position | None, *, wait: float) -> SignedPage:
        """Return the signed page after `after`.

        If there is no news, it waits up to `wait` seconds for some. Raises UnavailableError if the
        copy is too old to prove anything.
        """
        deadline = time.monotonic() + wait
        denylist = self._mirror.denylist
        # Woken is not the same as changed: one who came between the change and the call has seen
        # it already, and waits on.
        while (
            after is not None
            and after == denylist.log.head
            and not denylist.is_released
            and time.monotonic() < deadline
        ):
            await denylist.wait_for_change(deadline - time.monotonic())
        page = await self._find_or_build(after)
        if not page.is_last:
            async with self._turn:
                await asyncio.sleep(_GAP_SECONDS)
        return page

    async def close(self) -> None:
        """End the thread that builds pages. A page that is not begun yet is not built any more."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        await asyncio.gather(*self._building.values(), return_exceptions=True)
        self._thread.shutdown()  # nothing is being built now, so it ends at once

    async def _find_or_build(self, after: Position | None) -> SignedPage:
        mirror, log = self._mirror, self._mirror.denylist.log
        if log.head is None or mirror.postgres_clock.age_seconds > FRESH_SECONDS:
            raise UnavailableError(
                "the denylist cannot be confirmed right now; try again", reason="mirror_stale"
            )
        date = date_page(mirror.postgres_clock, self._page_ttl)
        key = mirror.signers.find(DEFAULT_ALGORITHM, date.at)
        # A follower at a position that is not known here gets the same as one that has none.
        start = after if after is not None and log.knows(after) else None
        # Whether the page will end at the head is known only when it is cut, and cutting is work.
        # So both pages that may come are looked for among those that were signed, and after that
        # among those that are being built.
        middle = _PageContent(key.kid, log.resets, start, None)
        claim = mirror.audit_heads.give()
        last = _PageContent(
            key.kid, log.resets, start, log.head, None if claim is None else claim.head
        )
        known = self._shared.find(middle) or self._shared.find(last)
        if known is not None:
            return known
        task = self._building.get(middle) or self._building.get(last)
        if task is not None:
            return await asyncio.shield(task)
        cut = log.cut(start)
        content = last if cut.cursor == log.head else middle
        # A reader of a page in the middle may have a newer one already, so it says nothing of the
        # audit trail.
        page = self._describe(cut, start, log.head, date, claim if content is last else None)
        # Nearly all pages are short, and handing one to the thread costs more than it saves.
        if len(cut.records) <= _SHORT:
            signed = _sign_page(page, cut, key, pause=0)
            self._shared.keep(content, signed, seconds=_SHARED_SECONDS)
            return signed
        # Shielded, because a follower that goes away must not take the page from the others.
        task = self._building[content] = asyncio.create_task(self._build(content, page, cut, key))
        return await asyncio.shield(task)

    async def _build(
        self, content: _PageContent, page: FeedPage, cut: Cut, key: SigningKey
    ) -> SignedPage:
        loop = asyncio.get_running_loop()
        try:
            signed = await loop.run_in_executor(
                self._thread, lambda: _sign_page(page, cut, key, pause=_PAUSE_SECONDS)
            )
            # The first page of a row is full. Followers refuse a full page that is older than
            # another one they have, so it is not shared for longer.
            is_middle = content.end is None and content.after is not None
            seconds = self._middle_shared if is_middle else _SHARED_SECONDS
            self._shared.keep(content, signed, seconds=seconds)
            return signed
        finally:
            del self._building[content]

    def _describe(
        self,
        cut: Cut,
        after: Position | None,
        head: Position,
        date: PageDate,
        claim: AuditClaim | None,
    ) -> FeedPage:
        if claim is not None and len(cut.records) and not cut.full:
            claim = shorten_claim(claim)  # news go to all followers at once
        return FeedPage(
            issuer=self._issuer,
            issued_at=date.issued_at,
            expires_at=date.expires_at,
            cursor=cut.cursor or head,
            head=head,
            after=None if cut.full else after,
            full=cut.full,
            revocations=(),
            audit=claim,
        )


class _SharedPages:
    """The pages that were signed a moment ago, oldest first, and not too many bytes of them."""

    def __init__(self) -> None:
        self._pages: dict[_PageContent, tuple[float, SignedPage]] = {}
        self._bytes = 0

    def find(self, content: _PageContent) -> SignedPage | None:
        """Return a page that may still be shared."""
        until, page = self._pages.get(content, (0.0, None))
        return page if time.monotonic() < until else None

    def keep(self, content: _PageContent, page: SignedPage, *, seconds: float) -> None:
        """Share a page with all who ask within `seconds`."""
        now = time.monotonic()
        # Put in anew, so that the oldest stand first.
        self._drop(content)
        for other in [at for at, (until, _) in self._pages.items() if until <= now]:
            self._drop(other)
        self._pages[content] = (now + seconds, page)
        self._bytes += len(page.body)
        # Followers at many positions ask for many long pages, which must not fill the memory.
        while self._bytes > _MOST_SHARED_BYTES:
            self._drop(next(iter(self._pages)))

    def _drop(self, content: _PageContent) -> None:
        if content in self._pages:
            self._bytes -= len(self._pages.pop(content)[1].body)


def _sign_page(page: FeedPage, cut: Cut, key: SigningKey, *, pause: float) -> SignedPage:
    """Build and sign a page; `pause` seconds after each step for the other threads."""
    parts: list[bytes] = []
    for part in write_page(page, cut.records.revocations()):
        parts.append(part)
        if pause:
            time.sleep(pause)
    text = sign_jws_text(b"".join(parts), typ=DENYLIST_PAGE[0], key=key).encode("ascii")
    if len(text) < _WORTH_ZIPPING:
        return SignedPage(body=text, is_zipped=False, is_last=page.is_last)
    packer = zlib.compressobj(_LEVEL, wbits=_GZIP)
    body = packer.compress(text) + packer.flush()
    return SignedPage(body=body, is_zipped=True, is_last=page.is_last)
