"""When to fetch: the JWKS ahead of its expiry, the denylist by one long poll after another. What was good is kept until better comes.

Each follower is one task, so there is one fetch at a time and an older answer can never overwrite a newer one.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tokensvc.core.denylist import Denylist, Follower, parse_page
from tokensvc.core.errors import InvalidPageError, InvalidTokenError
from tokensvc.core.jwks import ALGORITHMS, parse_jwks
from tokensvc.core.token import DENYLIST_PAGE, check_signature, parse_unverified
from tokensvc.verify.fetch import MAX_PAGE_BYTES, FetchError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokensvc.core.identifier import Kid
    from tokensvc.core.jwks import VerifyingKey
    from tokensvc.verify.fetch import Fetcher

_AHEAD: Final = 0.8  # of max-age: refreshed before it runs out
_SHORTEST: Final = 1.0
_LONGEST_BACKOFF: Final = 30.0
_LONGEST_FEED_BACKOFF: Final = 2.0  # silence makes tokens unusable: be back soon after the issuer is

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Clock:
    """Wall clock (seconds since 1970) and monotonic clock."""

    wall: Callable[[], float]
    monotonic: Callable[[], float]


def backoff(failures: int, most: float = _LONGEST_BACKOFF) -> float:
    """Return how long to wait after so many failures in a row: doubling, half of it at random, `most` seconds at most."""
    longest = min(most, 2.0 ** min(failures - 1, 10))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing


class JwksFollower:
    """The issuer's public keys, refreshed ahead of their expiry, and once per cooldown when an unknown kid turns up."""

    def __init__(self, fetcher: Fetcher, url: str, clock: Clock, *, cooldown: float) -> None:
        self._fetcher = fetcher
        self._url = url
        self._clock = clock
        self._cooldown = cooldown
        self._etag: str | None = None
        self._max_age = 0.0
        self._tried_on = float("-inf")
        self._failures = 0
        self._wake = asyncio.Event()
        self.keys: dict[Kid, VerifyingKey] = {}
        self.fetched_on = float("-inf")
        self.loaded = asyncio.Event()
        self.last_error: str | None = None

    @property
    def age(self) -> float:
        """Seconds since the issuer confirmed these keys."""
        return self._clock.monotonic() - self.fetched_on

    @property
    def overdue(self) -> float:
        """Seconds that the keys are older than the issuer allows; negative while they are fresh."""
        return self.age - self._max_age

    def find(self, kid: Kid) -> VerifyingKey | None:
        """Return the key of this kid; if there is none, have the JWKS looked at again, once per cooldown."""
        key = self.keys.get(kid)
        if key is None and self._clock.monotonic() - self._tried_on >= self._cooldown:
            self._wake.set()
        return key

    async def run(self) -> None:
        """Keep the keys fresh until cancelled."""
        while True:
            await self.fetch_once()
            try:
                async with asyncio.timeout(self._pause()):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def fetch_once(self) -> None:
        """Fetch, and take the answer in if it is good; else keep what we have."""
        self._wake.clear()
        self._tried_on = asked_on = self._clock.monotonic()
        try:
            answer = await self._fetcher.fetch_jwks(self._url, self._etag)
            if answer.document is not None:
                self.keys = _parse(answer.document)
        except (FetchError, ValueError) as error:
            self._failures += 1
            self.last_error = str(error)
            _log.warning("JWKS not refreshed: %s", error)
            return
        self._failures, self.last_error = 0, None
        self._etag, self._max_age, self.fetched_on = answer.etag, answer.max_age, asked_on
        self.loaded.set()

    def _pause(self) -> float:
        if self._failures:
            return backoff(self._failures)
        return max(_SHORTEST, self._max_age * _AHEAD * random.uniform(0.9, 1.0))  # noqa: S311


class DenylistFollower:
    """The issuer's denylist, by long poll. Knows how fresh it is; what a stale one means is for the verifier to say."""

    def __init__(self, fetcher: Fetcher, url: str, clock: Clock, jwks: JwksFollower, *, issuer: str, wait: int, leeway: float) -> None:
        self._fetcher = fetcher
        self._url = url
        self._clock = clock
        self._jwks = jwks
        self._wait = wait
        self._leeway = leeway
        self._follower = Follower(issuer, Denylist())
        self._fresh_on = float("-inf")
        self._failures = 0
        self._from_start = False
        self.loaded = asyncio.Event()
        self.last_error: str | None = None

    @property
    def denylist(self) -> Denylist:
        """The revocations in force."""
        return self._follower.denylist

    @property
    def age(self) -> float:
        """Seconds since the issuer confirmed that nothing is missing."""
        return self._clock.monotonic() - self._fresh_on

    @property
    def cursor(self) -> str | None:
        """Where we stand in the feed."""
        return None if self._follower.position is None else str(self._follower.position)

    @property
    def resets(self) -> int:
        """How often the issuer's history was found to contradict ours: a failover or a restored backup."""
        return self._follower.resets

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            asked_on, stood = self._clock.monotonic(), self.cursor
            await self.poll_once()
            if self._failures:
                await asyncio.sleep(backoff(self._failures, _LONGEST_FEED_BACKOFF))
            elif self.cursor == stood and self._clock.monotonic() - asked_on < _SHORTEST:
                await asyncio.sleep(_SHORTEST)  # whoever answers "nothing new" without waiting must not be asked in a tight loop

    async def poll_once(self) -> None:
        """Fetch one page and take it in if it is good; else keep what we have, and ask for everything next time."""
        after = None if self._from_start else self.cursor
        wait = 0 if self._failures else self._wait  # after an outage: first learn at once what was missed
        try:
            self._take(await self._fetcher.fetch_page(self._url, after, wait))
        except (FetchError, InvalidTokenError, InvalidPageError) as error:
            self._failures += 1
            self._from_start = self._from_start or isinstance(error, InvalidPageError)
            self.last_error = error.reason if isinstance(error, InvalidPageError | InvalidTokenError) else str(error)
            _log.warning("denylist page not taken: %s", self.last_error)
            return
        self._failures, self._from_start, self.last_error = 0, False, None
        self.loaded.set()

    def _take(self, text: str) -> None:
        unverified_page = parse_unverified(text, max_length=MAX_PAGE_BYTES)
        if self.denylist.denies_kid(unverified_page.kid):  # a thief of a signing key could sign pages too
            msg = "the denylist page is signed by a denied key"
            raise InvalidPageError(msg, reason="page_signed_by_denied_key")
        key = self._jwks.find(unverified_page.kid)
        page = parse_page(check_signature(unverified_page, typ=DENYLIST_PAGE, algorithms=ALGORITHMS, key=key))
        now = self._clock.wall()
        if self._follower.apply(page, now=now, leeway=self._leeway):
            _log.error("the issuer's denylist went back: a failover or a restored backup; entries held here are kept")
        self._fresh_on = self._clock.monotonic() - max(0.0, now - page.issued_at - self._leeway)


def _parse(document: bytes) -> dict[Kid, VerifyingKey]:
    keys = parse_jwks(document)
    if not keys:
        msg = "the JWKS holds no usable key"
        raise ValueError(msg)
    return keys
