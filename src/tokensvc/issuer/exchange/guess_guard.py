"""Slowing down clients that try keys which do not exist.

155 random bits cannot be guessed. What a flood of guesses costs is time, Postgres's and ours. So a
network (/24 or /48) that has tried too many unknown keys within a minute gets 429 without a look
into Postgres, and it gets the answer late: a client that waits for answers cannot ask often. Keys
that this process has seen to exist pass all the same, so honest clients behind the same address or
proxy do not suffer. Nothing is decided about a key here, only that Postgres is not asked now.

Each process counts by itself, in bounded memory. Keys with a wrong checksum never come this far.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from tokensvc.core.errors import RateLimitedError

if TYPE_CHECKING:
    from collections.abc import Callable

_MINUTE: Final = 60
_TICK: Final = 0.005


class GuessGuard:
    """Counts unknown keys per network: `allowed` of them pass in a minute, then it refuses.

    A refusal comes after `pause` seconds; at most `most_held` callers wait for one at a time, more
    are refused at once. The memory holds `most_networks` networks and twice `most_known` keys.
    `clock`: monotonic, in seconds.
    """

    def __init__(
        self,
        *,
        allowed: int,
        pause: float = 1.0,
        most_held: int = 2000,
        most_networks: int = 20_000,
        most_known: int = 50_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._allowed = allowed
        self._pause = pause
        self._most_held = most_held
        self._most_networks = most_networks
        self._most_known = most_known
        self._held = 0
        self._clock = clock
        self._minute = 0
        self._unknown: dict[str, int] = {}
        self._known: set[bytes] = set()
        self._known_before: set[bytes] = set()

    async def check(self, digest: bytes, network: str) -> None:
        """Check that Postgres may be asked about this key now.

        Raises RateLimitedError, late, if `network` has tried too many unknown keys and this key is
        not known to exist.
        """
        if self._unknown.get(network, 0) < self._allowed or self.knows(digest):
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
        """Keep a guesser waiting, until the end of a tick: answers that come together cost less."""
        if self._held >= self._most_held:
            return
        self._held += 1
        try:
            await asyncio.sleep(self._pause + _TICK - now % _TICK)
        finally:
            self._held -= 1

    def note_unknown(self, network: str) -> None:
        """Count one key that does not exist."""
        minute = int(self._clock()) // _MINUTE
        if minute != self._minute or len(self._unknown) >= self._most_networks:
            self._minute, self._unknown = minute, {}
        self._unknown[network] = self._unknown.get(network, 0) + 1

    def note_known(self, digest: bytes) -> None:
        """Remember a key that exists.

        There are two generations; when the younger one is full, the elder one is forgotten.
        """
        if digest not in self._known:
            if len(self._known) >= self._most_known:
                self._known_before, self._known = self._known, set()
            self._known.add(digest)

    def knows(self, digest: bytes) -> bool:
        """Tell whether this key is remembered to exist."""
        return digest in self._known or digest in self._known_before
