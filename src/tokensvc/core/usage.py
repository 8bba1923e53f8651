"""How keys are used: sums by key, hour and outcome, and the last use of each key.

There is never a row per token.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

ISSUED: Final = "issued"

_HOUR: Final = 3600  # seconds


class LastUse(NamedTuple):
    """When a key got its last token, and for which audience, or when it called the service itself.

    `at`: seconds since 1970. `network`: where the client was, a /24 or a /48.
    """

    at: int
    network: str
    audience: str


@functools.lru_cache(maxsize=64)
def build_last_use(at: int, network: str, audience: str) -> LastUse:
    """Return a LastUse. Those of the same second share one, because thousands may be held."""
    return LastUse(at, network, audience)


@dataclass(frozen=True, slots=True, kw_only=True)
class HourOfUse:
    """How many exchanges of a key had one outcome in the hour that begins at `hour`."""

    hour: datetime
    outcome: str
    count: int


@dataclass(slots=True)
class Usage:
    """What has not been written yet, for at most `most` keys; `dropped` counts what others did.

    Thousands of keys may be held, so nothing is made for each of them that can be shared.

    `sums`: by (begin of the hour in seconds since 1970, outcome), and then by key id. `last`: the
    last use by key id. `places`: where else keys were used, (key id, network).
    """

    most: int
    sums: dict[tuple[int, str], dict[str, int]] = field(default_factory=dict)
    last: dict[str, LastUse] = field(default_factory=dict)
    places: set[tuple[str, str]] = field(default_factory=set)
    dropped: int = 0

    @property
    def waiting(self) -> int:
        """How many sums are held."""
        return sum(map(len, self.sums.values()))

    def add(self, key_id: str, outcome: str, at: int, count: int = 1) -> None:
        """Count `count` exchanges that ended at `at` (seconds since 1970)."""
        alike = (at - at % _HOUR, outcome)
        sums = self.sums.get(alike)
        if sums is None:
            sums = self.sums[alike] = {}
        held = sums.get(key_id)
        if held is None and len(sums) >= self.most:
            self.dropped += count
        else:
            sums[key_id] = count if held is None else held + count

    def add_issued(self, key_id: str, use: LastUse) -> None:
        """Count a token that was issued, and keep it as the last use of its key."""
        self.add(key_id, ISSUED, use.at)
        self.note_last(key_id, use)

    def note_last(self, key_id: str, use: LastUse) -> None:
        """Keep the last use of a key."""
        before = self.last.get(key_id)
        if before is None and len(self.last) >= self.most:
            return
        # A key has only one last use, so where it was used before that is kept apart.
        if before is not None and before.network != use.network:
            self.places.add((key_id, before.network))
        self.last[key_id] = use

    def take_back(self, other: Usage) -> None:
        """Add sums that could not be written; a last use that is held here is newer and stays."""
        for (hour, outcome), sums in other.sums.items():
            for key_id, count in sums.items():
                self.add(key_id, outcome, hour, count)
        for key_id, use in other.last.items():
            newer = self.last.setdefault(key_id, use)
            if newer.network != use.network:
                self.places.add((key_id, use.network))
        self.places.update(other.places)
