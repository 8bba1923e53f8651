"""Slowing down whoever tries keys that do not exist.

155 random bits cannot be guessed; what a flood of guesses costs is Postgres's time. So a network (/24 or /48) that has asked for too many
unknown keys within a minute is told to wait, before anything is asked. Keys that this process has seen to exist pass all the same: honest
clients behind the same address, or the same proxy, do not suffer. Nothing is decided here about a key, only that it is not asked about now.

Each process counts by itself, in bounded memory. Keys that fail their checksum never come this far.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from tokensvc.core.errors import RateLimitedError

if TYPE_CHECKING:
    from collections.abc import Callable

_MINUTE: Final = 60
_MOST_NETWORKS: Final = 20_000
_MOST_KNOWN: Final = 50_000


class GuessGuard:
    """Counts unknown keys per network; `allowed` of them a minute. `clock`: monotonic seconds."""

    def __init__(self, *, allowed: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._allowed = allowed
        self._clock = clock
        self._minute = 0
        self._unknown: dict[str, int] = {}
        self._known: dict[bytes, None] = {}

    def check(self, digest: bytes, network: str) -> None:
        """Raise RateLimitedError if `network` has tried too many unknown keys and this one is not known to exist."""
        if self._unknown.get(network, 0) < self._allowed or digest in self._known:
            return
        now = self._clock()
        if int(now) // _MINUTE != self._minute:
            return
        raise RateLimitedError(
            "too many unknown keys from this network; wait before you try a key that is new here",
            policy="unknown-keys",
            limit=self._allowed,
            window=_MINUTE,
            retry_after=_MINUTE - int(now) % _MINUTE,
        )

    def note_unknown(self, network: str) -> None:
        """Count one key that does not exist."""
        minute = int(self._clock()) // _MINUTE
        if minute != self._minute or len(self._unknown) >= _MOST_NETWORKS:
            self._minute, self._unknown = minute, {}
        self._unknown[network] = self._unknown.get(network, 0) + 1

    def note_known(self, digest: bytes) -> None:
        """Remember a key that exists."""
        if digest not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[digest] = None
