"""When an unknown kid is worth a fetch: once per cooldown, whoever asks for whatever, and ever more rarely for one that no fetch brings.

Bounded: strangers choose kids. Forgetting one costs a fetch at most, and never more than one per cooldown. Not here: fetching.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Container

    from tokensvc.core.identifier import Kid

MOST_KIDS: Final = 1000
_MOST_COOLDOWNS: Final = 10  # how far the same unknown kid is put off: five minutes by default


@dataclass(slots=True)
class _Unknown:
    wanted: bool = True
    misses: int = 0
    again_on: float = float("-inf")


class UnknownKids:
    """Remembers which kids the issuer does not have. May be asked from any thread."""

    def __init__(self, *, cooldown: float) -> None:
        self._cooldown = cooldown
        self._fetched_on = float("-inf")
        self._kids: dict[Kid, _Unknown] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return how many kids are remembered."""
        return len(self._kids)

    def ask(self, kid: Kid, now: float) -> bool:
        """Tell whether to fetch because of this kid."""
        with self._lock:
            unknown = self._kids.get(kid)
            if unknown is None:
                if len(self._kids) >= MOST_KIDS:
                    del self._kids[next(iter(self._kids))]
                unknown = self._kids[kid] = _Unknown()
            unknown.wanted = True
            return now - self._fetched_on >= self._cooldown and now >= unknown.again_on

    def begin(self, now: float) -> frozenset[Kid]:
        """Note that a fetch begins, also one that will fail; return the kids that it may bring."""
        with self._lock:
            self._fetched_on = now
            return frozenset(kid for kid, unknown in self._kids.items() if unknown.wanted)

    def settle(self, hoped_for: frozenset[Kid], keys: Container[Kid]) -> None:
        """Note what a fetch that succeeded did not bring."""
        with self._lock:
            for kid in hoped_for & self._kids.keys():
                unknown = self._kids[kid]
                if kid in keys:
                    del self._kids[kid]
                    continue
                unknown.wanted = False
                unknown.again_on = self._fetched_on + self._cooldown * min(
                    2**unknown.misses, _MOST_COOLDOWNS
                )
                unknown.misses = min(unknown.misses + 1, _MOST_COOLDOWNS)
