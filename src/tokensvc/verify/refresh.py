"""The issuer's public keys: fetched ahead of their expiry, and kept until better ones come.

One task fetches, so there is one fetch at a time. An answer that is older than what is held (a cache in between has another idea of the
present) is not taken. Not here: what keys that are too old mean, which is for the verifier to say.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tokensvc.core.jwks import parse_jwks
from tokensvc.verify.fetch import FetchError
from tokensvc.verify.snapshot import JwksSnapshot
from tokensvc.verify.unknown import UnknownKids

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokensvc.core.identifier import Kid
    from tokensvc.core.jwks import VerifyingKey
    from tokensvc.verify.fetch import Fetches, JwksAnswer

_AHEAD: Final = 0.8  # of max-age: refreshed before it runs out
_SHORTEST: Final = 1.0
_LONGEST_BACKOFF: Final = 30.0
_LONGEST_COLD_BACKOFF: Final = (
    2.0  # without any key no token can be verified: be back soon after the issuer is
)
_SAME_MOMENT: Final = 2.0  # a cache tells ages in whole seconds

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


def renew(event: asyncio.Event) -> asyncio.Event:
    """Return an event in the same state that no loop has claimed yet."""
    made = asyncio.Event()
    if event.is_set():
        made.set()
    return made


def is_worth_a_line(failures: int) -> bool:
    """Tell whether to log a failure: the first, second, fourth, eighth ... in a row, so that an outage fills no disk."""
    return failures & (failures - 1) == 0


class JwksFollower:
    """The issuer's public keys, refreshed ahead of their expiry, and once per cooldown when an unknown kid turns up."""

    def __init__(self, fetcher: Fetches, url: str, clock: Clock, *, cooldown: float) -> None:
        self._fetcher = fetcher
        self._url = url
        self._clock = clock
        self._unknown = UnknownKids(cooldown=cooldown)
        self._document: bytes | None = None
        self._etag: str | None = None
        self._max_age = 0.0
        self._failures = 0
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.keys: dict[Kid, VerifyingKey] = {}
        self.confirmed_on = float("-inf")
        self.loaded = asyncio.Event()
        self.last_error: str | None = None

    @property
    def age(self) -> float:
        """Seconds since the issuer confirmed these keys."""
        return self._clock.monotonic() - self.confirmed_on

    @property
    def overdue(self) -> float:
        """Seconds that the keys are older than the issuer allows; negative while they are fresh."""
        return self.age - self._max_age

    def find(self, kid: Kid) -> VerifyingKey | None:
        """Return the key of this kid; if there is none, have the JWKS looked at again, once per cooldown. For any thread."""
        key = self.keys.get(kid)
        # While the issuer is away the next attempt is planned already.
        if (
            key is None
            and self._unknown.ask(kid, self._clock.monotonic())
            and not self._failures
            and self._loop is not None
        ):
            with contextlib.suppress(RuntimeError):  # the loop has just been closed
                self._loop.call_soon_threadsafe(self._wake.set)
        return key

    def begin(self) -> None:
        """Make ready for the running loop, which may be another one than the last time."""
        self._loop = asyncio.get_running_loop()
        self._wake, self.loaded = asyncio.Event(), renew(self.loaded)

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
        asked_on = self._clock.monotonic()
        hoped_for = self._unknown.begin(asked_on)
        try:
            self.take(await self._fetcher.fetch_jwks(self._url, self._etag), asked_on)
        except (FetchError, ValueError) as error:
            self._failures += 1
            self.last_error = str(error)
            if is_worth_a_line(self._failures):
                _log.warning("JWKS not refreshed (%d in a row): %s", self._failures, error)
            if self.keys:  # of a snapshot: they serve until better come
                self.loaded.set()
            return
        self._unknown.settle(hoped_for, self.keys)

    def take(self, answer: JwksAnswer, asked_on: float) -> None:
        """Take in what the issuer answered to a question asked then. Raises FetchError or ValueError, and then changes nothing."""
        confirmed_on = asked_on - answer.age
        if answer.document is not None and answer.document != self._document:
            if confirmed_on < self.confirmed_on - _SAME_MOMENT:
                raise FetchError("the answer is older than the keys held: it comes from a cache")
            self.keys = _parse(answer.document, self.keys)
            self._document = answer.document
        self._failures, self.last_error = 0, None
        self._etag, self._max_age, self.confirmed_on = (
            answer.etag,
            answer.max_age,
            max(confirmed_on, self.confirmed_on),
        )
        self.loaded.set()

    def snapshot(self) -> JwksSnapshot | None:
        """Return what a successor can start from, None before the first answer."""
        if self._document is None:
            return None
        confirmed_at = self._clock.wall() - self.age
        return JwksSnapshot(
            document=self._document,
            etag=self._etag,
            max_age=self._max_age,
            confirmed_at=confirmed_at,
        )

    def restore(self, kept: JwksSnapshot) -> None:
        """Start from what a predecessor has kept. Raises ValueError if that holds no keys."""
        self.keys = _parse(kept.document, self.keys)
        self._document, self._etag, self._max_age = kept.document, kept.etag, kept.max_age
        self.confirmed_on = self._clock.monotonic() - max(
            0.0, self._clock.wall() - kept.confirmed_at
        )

    def _pause(self) -> float:
        if self._failures:
            return backoff(self._failures, _LONGEST_BACKOFF if self.keys else _LONGEST_COLD_BACKOFF)
        return max(_SHORTEST, self._max_age * _AHEAD * random.uniform(0.9, 1.0) - self.age)  # noqa: S311


def _parse(document: bytes, held: dict[Kid, VerifyingKey]) -> dict[Kid, VerifyingKey]:
    """Return the keys of a document; those that are held already stay the same objects, and so do tokens remembered with them."""
    keys = parse_jwks(document)
    if not keys:
        raise ValueError("the JWKS holds no usable key")
    return {kid: held[kid] if held.get(kid) == key else key for kid, key in keys.items()}
