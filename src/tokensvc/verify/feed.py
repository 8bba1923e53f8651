"""The issuer's denylist, by one long poll after another; what is held is kept until better comes.

Knows how fresh the list is. Not here: what a stale list means, which is for the verifier to say; and the rules by which pages are applied
(`core.denylist`).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from tokensvc.core.denylist.followed import FollowedDenylist
from tokensvc.core.denylist.page import parse_page
from tokensvc.core.denylist.revoked import Denylist
from tokensvc.core.errors import InvalidPageError, InvalidTokenError
from tokensvc.core.jwks import ALGORITHMS
from tokensvc.core.token import DENYLIST_PAGE, check_signature, parse_unverified
from tokensvc.verify.fetch import MAX_PAGE_BYTES, FetchError
from tokensvc.verify.refresh import backoff, is_worth_a_line, renew
from tokensvc.verify.snapshot import FeedSnapshot

if TYPE_CHECKING:
    from tokensvc.core.denylist.position import Position
    from tokensvc.verify.fetch import Fetches
    from tokensvc.verify.refresh import Clock, JwksFollower

_SHORTEST: Final = 1.0
_LONGEST_BACKOFF: Final = 2.0  # silence makes tokens unusable: be back soon after the issuer is

_log = logging.getLogger(__name__)


class DenylistFollower:
    """The revocations in force, and how long ago the issuer confirmed that none is missing."""

    def __init__(
        self,
        fetcher: Fetches,
        url: str,
        clock: Clock,
        jwks: JwksFollower,
        *,
        issuer: str,
        wait: int,
        leeway: float,
    ) -> None:
        self._fetcher = fetcher
        self._url = url
        self._clock = clock
        self._jwks = jwks
        self._wait = wait
        self._leeway = leeway
        self._follower = FollowedDenylist(issuer, Denylist())
        self._failures = 0
        self._from_start = False
        self.confirmed_on = float("-inf")
        self.loaded = asyncio.Event()
        self.last_error: str | None = None

    @property
    def denylist(self) -> Denylist:
        """The revocations in force."""
        return self._follower.denylist

    @property
    def age(self) -> float:
        """Seconds since the issuer confirmed that nothing is missing."""
        return self._clock.monotonic() - self.confirmed_on

    @property
    def position(self) -> Position | None:
        """Where we stand in the feed; None before the first page."""
        return self._follower.position

    @property
    def cursor(self) -> str | None:
        """The same as text."""
        return None if self.position is None else str(self.position)

    @property
    def resets(self) -> int:
        """How often the issuer's history was found to contradict ours: a failover or a restored backup."""
        return self._follower.resets

    def begin(self) -> None:
        """Make ready for the running loop, which may be another one than the last time."""
        self.loaded = renew(self.loaded)

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            asked_on, stood = self._clock.monotonic(), self.position
            await self.poll_once()
            if self._failures:
                await asyncio.sleep(backoff(self._failures, _LONGEST_BACKOFF))
            elif self.position == stood and self._clock.monotonic() - asked_on < _SHORTEST:
                await asyncio.sleep(
                    _SHORTEST
                )  # whoever answers "nothing new" without waiting must not be asked in a tight loop

    async def poll_once(self) -> None:
        """Fetch one page and take it in if it is good; else keep what we have, and ask for everything next time."""
        after = None if self._from_start else self.cursor
        wait = (
            0 if self._failures or not self.loaded.is_set() else self._wait
        )  # first learn at once what was missed
        try:
            self.take(await self._fetcher.fetch_page(self._url, after, wait))
        except (FetchError, InvalidTokenError, InvalidPageError) as error:
            self._failures += 1
            self._from_start = self._from_start or isinstance(error, InvalidPageError)
            self.last_error = (
                error.reason
                if isinstance(error, InvalidPageError | InvalidTokenError)
                else str(error)
            )
            if is_worth_a_line(self._failures):
                _log.warning(
                    "denylist page not taken (%d in a row): %s", self._failures, self.last_error
                )
            if self.position is not None:  # of a snapshot: it serves while it is fresh
                self.loaded.set()

    def take(self, text: str) -> None:
        """Take in a page. Raises InvalidTokenError or InvalidPageError, and then changes nothing."""
        unverified_page = parse_unverified(text, max_length=MAX_PAGE_BYTES)
        if self.denylist.revokes_kid(
            unverified_page.kid
        ):  # a thief of a signing key could sign pages too
            raise InvalidPageError(
                "the denylist page is signed by a denied key", reason="page_signed_by_denied_key"
            )
        key = self._jwks.find(unverified_page.kid)
        page = parse_page(
            check_signature(unverified_page, typ=DENYLIST_PAGE, algorithms=ALGORITHMS, key=key)
        )
        now = self._clock.wall()
        if self._follower.apply(page, now=now, leeway=self._leeway):
            _log.error(
                "the issuer's denylist went back: a failover or a restored backup; entries held here are kept"
            )
        confirmed_on = self._clock.monotonic() - max(0.0, now - page.issued_at - self._leeway)
        self.confirmed_on = max(confirmed_on, self.confirmed_on)
        self._failures, self._from_start, self.last_error = 0, False, None
        self.loaded.set()

    def snapshot(self) -> FeedSnapshot | None:
        """Return what a successor can start from, None before the first page."""
        if self.position is None:
            return None
        return FeedSnapshot(
            position=self.position,
            page_issued_at=self._follower.page_issued_at,
            resets=self._follower.resets,
            confirmed_at=self._clock.wall() - self.age,
            denylist=self.denylist.copy(),
        )

    def restore(self, kept: FeedSnapshot) -> None:
        """Start from what a predecessor has kept: its entries, its place, and the age that all this has now."""
        self._follower.denylist.add(kept.denylist)
        self._follower.position, self._follower.page_issued_at = kept.position, kept.page_issued_at
        self._follower.resets = kept.resets
        self.confirmed_on = self._clock.monotonic() - max(
            0.0, self._clock.wall() - kept.confirmed_at
        )
