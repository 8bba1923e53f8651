"""How keys are used: sums per key, hour and outcome, and the last use of each; never a row per token."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

HOUR: Final = 3600
ISSUED: Final = "issued"


class LastUse(NamedTuple):
    """When a key got its last token (seconds since 1970), from which network (/24 or /48), and for whom."""

    at: int
    network: str
    audience: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HourOfUse:
    """How many exchanges of a key ended how, in the hour that begins at `hour`."""

    hour: datetime
    outcome: str
    count: int


@dataclass(slots=True)
class Usage:
    """Sums that have not been written yet. `most`: how many are held before new ones are dropped, and counted as dropped."""

    most: int
    sums: dict[tuple[str, int, str], int] = field(default_factory=dict)
    last: dict[str, LastUse] = field(default_factory=dict)
    dropped: int = 0

    def add(self, key_id: str, outcome: str, at: int, count: int = 1) -> None:
        """Count an exchange that ended at `at` (seconds since 1970)."""
        place = (key_id, at - at % HOUR, outcome)
        held = self.sums.get(place)
        if held is None and len(self.sums) >= self.most:
            self.dropped += count
        else:
            self.sums[place] = count if held is None else held + count

    def add_issued(self, key_id: str, use: LastUse) -> None:
        """Count a token, and remember the use."""
        self.add(key_id, ISSUED, use.at)
        if key_id in self.last or len(self.last) < self.most:
            self.last[key_id] = use

    def take_back(self, other: Usage) -> None:
        """Take in again what could not be written."""
        for (key_id, hour, outcome), count in other.sums.items():
            self.add(key_id, outcome, hour, count)
        for key_id, use in other.last.items():
            self.last.setdefault(key_id, use)
