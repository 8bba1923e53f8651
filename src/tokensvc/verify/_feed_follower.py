"""Follows the issuer's denylist, one long poll after another, and keeps what it has.

Knows how fresh the denylist is. Not here: what happens when it is stale, which the verifier
decides; who may sign a page (`_page_signature`); and the rules by which a page is applied
(`core.denylist`).

A page is checked and applied in steps of a few milliseconds. Between them the application goes on.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin

from tokensvc.core.audit_witness import parse_witness
from tokensvc.core.denylist.followed import FollowedDenylist
from tokensvc.core.denylist.page import MOST_PAGE_BYTES, parse_feed_page
from tokensvc.core.errors import InvalidPageError, InvalidTokenError
from tokensvc.core.long_jws import parse_unverified_in_steps
from tokensvc.core.steps import run_steps
from tokensvc.verify._audit_watch import AnswerRules, AuditWatch
from tokensvc.verify._backoff import is_worth_a_line, new_backoff, renew
from tokensvc.verify._fetch import FetchError
from tokensvc.verify._page_signature import PageSignatures
from tokensvc.verify._snapshot import FeedSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tokensvc.core.denylist.position import Position
    from tokensvc.core.denylist.vouched import VouchedDenylist
    from tokensvc.verify._clock import Clock
    from tokensvc.verify._fetch import Fetches
    from tokensvc.verify._jwks_follower import JwksFollower

_SHORTEST_POLL: Final = 1.0
# A silent feed soon makes all tokens unusable, so the issuer is asked often until it is back.
_LONGEST_BACKOFF: Final = 2.0
_WENT_BACK: Final = (
    "the issuer's denylist went back, after a failover or from a backup;"
    " all revocations known here stay in force"
)
_NOT_APPLIED: Final = "no denylist page was applied (failures in a row: %d): %s"

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
        on_audit_problem: Callable[[str], None] | None = None,
    ) -> None:
        self._fetcher, self._url, self._clock = fetcher, url, clock
        self._wait, self._leeway = wait, leeway
        self._followed = FollowedDenylist(issuer)
        self._signatures = PageSignatures(jwks, self._followed, clock)
        rules = AnswerRules(self._signatures, issuer, leeway)
        self.audit = AuditWatch(fetcher, _build_audit_url(url), clock, rules, on_audit_problem)
        self._failures = 0  # in a row
        self._asks_for_all = False  # the last page did not fit what is held
        self._lacks_pages = True  # the last page applied was not the last one of its row
        self.confirmed_on = float("-inf")
        self.loaded = asyncio.Event()
        self.last_error: str | None = None
        self.last_failure: str | None = None  # the same in more words

    @property
    def denylist(self) -> VouchedDenylist:
        """The revocations in force."""
        return self._followed.denylist

    @property
    def has_all(self) -> bool:
        """Whether a whole denylist has been read, however old it is."""
        return self._followed.has_all

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
        self.audit.enter_loop()

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
        asks_for_all = self._asks_for_all or self._followed.must_read_all
        after = None if asks_for_all else self.cursor  # without one, all that is in force comes
        # The first poll, and the first one after a failure, must say at once what was missed.
        is_urgent = self._failures or self._lacks_pages or not self.loaded.is_set()
        try:
            text = await self._fetcher.fetch_page(self._url, after, 0 if is_urgent else self._wait)
            for _ in self._take_in_steps(text):
                await asyncio.sleep(0)  # the application has the same event loop
        except FetchError as error:
            self._note_failure(str(error))
        except InvalidTokenError as error:  # it is no page that this issuer has signed
            self._note_failure(error.reason, f"it is no page of this issuer: {error.reason}")
        except InvalidPageError as error:  # the issuer signed it, and it does not fit what we have
            # Of a page that is older, or ahead, only the news matters; an ordinary page brings it.
            if error.reason not in {"page_replayed", "page_ahead"}:
                self._asks_for_all = True
            self._note_failure(error.reason, str(error))

    def take(self, text: str) -> None:
        """Apply a page. Raises InvalidTokenError or InvalidPageError.

        Then nothing has changed, except as `FollowedDenylist.apply` says.
        """
        run_steps(self._take_in_steps(text))

    def _take_in_steps(self, text: str) -> Generator[None, None, None]:
        unverified_page = yield from parse_unverified_in_steps(text, max_length=MOST_PAGE_BYTES)
        payload = yield from self._signatures.check_in_steps(unverified_page)
        page = yield from parse_feed_page(payload)
        # After the steps above, which may have taken long: nothing may look younger than it is.
        now = self._clock.wall()
        reset = yield from self._followed.apply_in_steps(
            page, unverified_page.kid, now=now, leeway=self._leeway
        )
        if reset:
            _log.error(_WENT_BACK)
        # Only after the page was applied: one that is refused as old tells of an old trail.
        self.audit.take(page.audit, page.issued_at)
        self._failures, self._asks_for_all = 0, False
        self.last_error = self.last_failure = None
        self._lacks_pages = not page.is_last or self._followed.must_read_all
        if page.is_last:
            # A page that took long proves only that nothing was missing when it was issued.
            age = max(0.0, now - page.issued_at - self._leeway)
            self.confirmed_on = max(self._clock.monotonic() - age, self.confirmed_on)
            self.loaded.set()

    def snapshot(self) -> FeedSnapshot | None:
        """Return what the next start can begin with, None before the first page."""
        if self.position is None or not self.has_all:  # half of it would look whole later
            return None
        at, witness = self._clock.wall() - self.age, self.audit.witness
        return FeedSnapshot.of(self._followed, self.position, witness, confirmed_at=at)

    def restore(self, kept: FeedSnapshot) -> None:
        """Begin with what was kept before the restart; it is as old as it would be without one."""
        kept.give_to(self._followed)
        self.audit.witness = parse_witness(kept.audit)
        # A wall clock that was set back must not make the denylist younger than now.
        age = max(0.0, self._clock.wall() - kept.confirmed_at)
        self.confirmed_on = self._clock.monotonic() - age

    def _note_failure(self, why: str, words: str | None = None) -> None:
        self._failures += 1
        self.last_error, self.last_failure = why, words or why
        if is_worth_a_line(self._failures):
            _log.warning(_NOT_APPLIED, self._failures, self.last_failure)
        if self.has_all:  # it comes from a snapshot, and serves while it is fresh
            self.loaded.set()


def _build_audit_url(feed_url: str) -> str:
    """Return where questions about the audit trail are answered: beside the feed."""
    return urljoin(feed_url, "audit-heads")
