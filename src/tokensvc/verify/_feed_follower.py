"""Follows the issuer's denylist, one long poll after another, and keeps what it has.

Knows how fresh the denylist is. Not here: what happens when it is stale, which the verifier
decides, and the rules by which a page is applied (`core.denylist`).
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
from tokensvc.verify._backoff import is_worth_a_line, new_backoff, renew
from tokensvc.verify._fetch import MAX_PAGE_BYTES, FetchError
from tokensvc.verify._snapshot import FeedSnapshot

if TYPE_CHECKING:
    from tokensvc.core.denylist.page import Page
    from tokensvc.core.denylist.position import Position
    from tokensvc.verify._clock import Clock
    from tokensvc.verify._fetch import Fetches
    from tokensvc.verify._jwks_follower import JwksFollower

_SHORTEST_POLL: Final = 1.0
# A silent feed soon makes all tokens unusable, so the issuer is asked often until it is back.
_LONGEST_BACKOFF: Final = 2.0

_log = logging.getLogger(__name__)


class FeedFollower:
    """The revocations in force, and how long ago the issuer confirmed that none is missing.

    `wait`: seconds that the issuer may hold a poll back until there is news. `leeway`: seconds by
    which the clocks may differ.
    """

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
        self._followed = FollowedDenylist(issuer, Denylist())
        self._failures = 0
        self._asks_for_all = False
        self.confirmed_on = float("-inf")
        self.loaded = asyncio.Event()
        self.last_error: str | None = None

    @property
    def denylist(self) -> Denylist:
        """The revocations in force."""
        return self._followed.denylist

    @property
    def age(self) -> float:
        """Seconds since the issuer confirmed that nothing is missing."""
        return self._clock.monotonic() - self.confirmed_on

    @property
    def position(self) -> Position | None:
        """The place in the feed that has been reached; None before the first page."""
        return self._followed.position

    @property
    def cursor(self) -> str | None:
        """The position as text."""
        return None if self.position is None else str(self.position)

    @property
    def resets(self) -> int:
        """How often the issuer's history contradicted ours: a failover or a restored backup."""
        return self._followed.resets

    def enter_loop(self) -> None:
        """Get ready to run in the present event loop. It may differ from the one before."""
        self.loaded = renew(self.loaded)

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            asked_on, position = self._clock.monotonic(), self.position
            await self.poll_once()
            if self._failures:
                await asyncio.sleep(new_backoff(self._failures, longest=_LONGEST_BACKOFF))
            elif self.position == position and self._clock.monotonic() - asked_on < _SHORTEST_POLL:
                # The issuer said "nothing new" without waiting. Do not ask it in a tight loop.
                await asyncio.sleep(_SHORTEST_POLL)

    async def poll_once(self) -> None:
        """Fetch one page and apply it. If it cannot be used, keep the denylist held."""
        after = None if self._asks_for_all else self.cursor
        # The first poll, and the first one after a failure, must say at once what was missed.
        wait = 0 if self._failures or not self.loaded.is_set() else self._wait
        try:
            self.take(await self._fetcher.fetch_page(self._url, after, wait))
        except FetchError as error:
            self._note_failure(str(error))
        except InvalidTokenError as error:  # it is no page that this issuer has signed
            self._note_failure(error.reason)
        except InvalidPageError as error:  # the issuer signed it, and it does not fit what we have
            self._asks_for_all = True
            self._note_failure(error.reason)

    def take(self, text: str) -> None:
        """Apply a page. Raises InvalidTokenError or InvalidPageError, and then changes nothing."""
        page = self._verify_page(text)
        now = self._clock.wall()
        if self._followed.apply(page, now=now, leeway=self._leeway):
            _log.error(
                "the issuer's denylist went back, after a failover or from a backup;"
                " all revocations known here stay in force"
            )
        # A page that took long to arrive proves only that nothing was missing when it was issued.
        age = max(0.0, now - page.issued_at - self._leeway)
        self.confirmed_on = max(self._clock.monotonic() - age, self.confirmed_on)
        self._failures, self._asks_for_all, self.last_error = 0, False, None
        self.loaded.set()

    def snapshot(self) -> FeedSnapshot | None:
        """Return what the next start can begin with, None before the first page."""
        if self.position is None:
            return None
        return FeedSnapshot(
            position=self.position,
            page_issued_at=self._followed.page_issued_at,
            resets=self._followed.resets,
            confirmed_at=self._clock.wall() - self.age,
            denylist=self.denylist.copy(),
        )

    def restore(self, kept: FeedSnapshot) -> None:
        """Begin with what was kept before the restart; it is as old as it would be without one."""
        self._followed.denylist.add(kept.denylist)
        self._followed.position, self._followed.page_issued_at = kept.position, kept.page_issued_at
        self._followed.resets = kept.resets
        age = max(0.0, self._clock.wall() - kept.confirmed_at)
        self.confirmed_on = self._clock.monotonic() - age

    def _verify_page(self, text: str) -> Page:
        unverified_page = parse_unverified(text, max_length=MAX_PAGE_BYTES)
        # A thief of a signing key could sign pages with it too.
        if self.denylist.revokes_kid(unverified_page.kid):
            raise InvalidPageError(
                "the denylist page is signed by a revoked key", reason="page_signed_by_denied_key"
            )
        key = self._jwks.find_key(unverified_page.kid)
        return parse_page(
            check_signature(unverified_page, typ=DENYLIST_PAGE, algorithms=ALGORITHMS, key=key)
        )

    def _note_failure(self, why: str) -> None:
        self._failures += 1
        self.last_error = why
        if is_worth_a_line(self._failures):
            _log.warning(
                "no denylist page was applied (%d failures in a row): %s", self._failures, why
            )
        if self.position is not None:  # it comes from a snapshot, and serves while it is fresh
            self.loaded.set()
