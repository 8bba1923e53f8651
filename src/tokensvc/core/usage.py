"""How keys are used: sums by key, hour and outcome, and the last use of each key.

There is never a row per token.
"""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True, kw_only=True)
class HourOfUse:
    """How many exchanges of a key had one outcome in the hour that begins at `hour`."""

    hour: datetime
    outcome: str
    count: int


@dataclass(slots=True)
class Usage:
    """Sums that have not been written yet.

    `sums`: by (key id, begin of the hour in seconds since 1970, outcome). `last`: the last use by
    key id. `places`: where keys were used, (key id, network). At most `most` of each are held; what
    is beyond that is only counted, in `dropped`.
    """

    most: int
    sums: dict[tuple[str, int, str], int] = field(default_factory=dict)
    last: dict[str, LastUse] = field(default_factory=dict)
    places: set[tuple[str, str]] = field(default_factory=set)
    dropped: int = 0

    def add(self, key_id: str, outcome: str, at: int, count: int = 1) -> None:
        """Count `count` exchanges that ended at `at` (seconds since 1970)."""
        place = (key_id, at - at % _HOUR, outcome)
        held = self.sums.get(place)
        if held is None and len(self.sums) >= self.most:
            self.dropped += count
        else:
            self.sums[place] = count if held is None else held + count

    def add_issued(self, key_id: str, use: LastUse) -> None:
        """Count a token that was issued, and keep it as the last use of its key."""
        self.add(key_id, ISSUED, use.at)
        self.note_last(key_id, use)

    def note_last(self, key_id: str, use: LastUse) -> None:
        """Keep the last use of a key."""
        if key_id in self.last or len(self.last) < self.most:
            self.last[key_id] = use
            self.places.add((key_id, use.network))

    def take_back(self, other: Usage) -> None:
        """Add sums that could not be written; a last use that is held here is newer and stays."""
        for (key_id, hour, outcome), count in other.sums.items():
            self.add(key_id, outcome, hour, count)
        for key_id, use in other.last.items():
            self.last.setdefault(key_id, use)
        self.places.update(other.places)
