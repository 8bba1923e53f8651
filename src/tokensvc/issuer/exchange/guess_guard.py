"""Slowing down whoever tries keys that do not exist.

155 random bits cannot be guessed; what a flood of guesses costs is time, Postgres's and ours. So a network (/24 or /48) that has asked for
too many unknown keys within a minute gets 429 without Postgres being asked, and gets it late: who waits for answers cannot ask often. Keys
that this process has seen to exist pass all the same, so honest clients behind the same address or proxy do not suffer. Nothing is decided
here about a key, only that it is not asked about now.

Each process counts by itself, in bounded memory. Keys that fail their checksum never come this far.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from tokensvc.core.errors import RateLimitedError

if TYPE_CHECKING:
    from collections.abc import Callable

_MINUTE: Final = 60
_MOST_NETWORKS: Final = 20_000
_MOST_KNOWN: Final = 50_000
_MOST_HELD: Final = 2000
_TICK: Final = 0.005


class GuessGuard:
    """Counts unknown keys per network; `allowed` of them a minute, then refusals come after `pause`. `clock`: monotonic. Seconds."""

    def __init__(
        self, *, allowed: int, pause: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._allowed = allowed
        self._pause = pause
        self._held = 0
        self._clock = clock
        self._minute = 0
        self._unknown: dict[str, int] = {}
        self._known: set[bytes] = set()
        self._known_before: set[bytes] = set()

    async def check(self, digest: bytes, network: str) -> None:
        """Raise RateLimitedError, after a while, if `network` has tried too many unknown keys and this one is not known to exist."""
        if self._unknown.get(network, 0) < self._allowed or self._is_known(digest):
            return
        now = self._clock()
        if int(now) // _MINUTE != self._minute:
            return
        await self._hold(now)
        raise RateLimitedError(
            "too many unknown keys from this network; wait before you try a key that is new here",
            policy="unknown-keys",
            limit=self._allowed,
            window=_MINUTE,
            retry_after=_MINUTE - int(now) % _MINUTE,
        )

    async def _hold(self, now: float) -> None:
        """Keep a guesser waiting; those that are answered in the same tick are answered together, which costs less."""
        if self._held >= _MOST_HELD:
            return
        self._held += 1
        try:
            await asyncio.sleep(self._pause + _TICK - now % _TICK)
        finally:
            self._held -= 1

    def note_unknown(self, network: str) -> None:
        """Count one key that does not exist."""
        minute = int(self._clock()) // _MINUTE
        if minute != self._minute or len(self._unknown) >= _MOST_NETWORKS:
            self._minute, self._unknown = minute, {}
        self._unknown[network] = self._unknown.get(network, 0) + 1

    def note_known(self, digest: bytes) -> None:
        """Remember a key that exists; in two generations, the elder of which is forgotten when the younger one is full."""
        if digest not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known_before, self._known = self._known, set()
            self._known.add(digest)

    def _is_known(self, digest: bytes) -> bool:
        return digest in self._known or digest in self._known_before
