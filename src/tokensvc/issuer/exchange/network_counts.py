"""How often each network did something lately, in bounded memory."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokensvc.core.limit import MINUTE

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(slots=True)
class _Count:
    minute: int
    number: int = 0
    before: int = 0  # the number of the minute before

    def turn_to(self, minute: int) -> None:
        if minute != self.minute:
            # A count is turned only when it is asked for, so several minutes may have passed.
            self.before = self.number if minute == self.minute + 1 else 0
            self.minute, self.number = minute, 0


class NetworkCounts:
    """Counts per network and minute of the monotonic clock, and over all networks.

    It remembers `most_networks` networks: a new one takes the place of the one that was counted
    longest ago. `clock`: monotonic, in seconds.
    """

    def __init__(
        self, *, most_networks: int = 20_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most_networks = most_networks
        self._clock = clock
        self._counts: dict[str, _Count] = {}  # the one that was counted last stands last
        self._all = _Count(0)

    def add(self, network: str) -> int:
        """Count once; return how often it was in this minute."""
        minute = int(self._clock()) // MINUTE
        # Taken out and put in again, so that it stands last.
        count = self._counts.pop(network, None) or _Count(minute)
        self._counts[network] = count
        if len(self._counts) > self._most_networks:
            del self._counts[next(iter(self._counts))]
        for counted in (count, self._all):
            counted.turn_to(minute)
            counted.number += 1
        return count.number

    def has_reached(self, limit: int, network: str) -> bool:
        """Tell whether a network has reached `limit` in this minute or in the one before."""
        count = self._counts.get(network)
        return count is not None and self._has_reached(limit, count)

    def have_all_reached(self, limit: int) -> bool:
        """As `has_reached`, for all networks together."""
        return self._has_reached(limit, self._all)

    def seconds_left(self) -> int:
        """Return in how many seconds the next minute begins."""
        return MINUTE - int(self._clock()) % MINUTE

    def _has_reached(self, limit: int, count: _Count) -> bool:
        if count.number < limit and count.before < limit:  # the usual case needs no clock
            return False
        count.turn_to(int(self._clock()) // MINUTE)
        return count.number >= limit or count.before >= limit
