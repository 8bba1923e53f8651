"""Decides when a token with an unknown kid is a reason to fetch the JWKS.

There is one such fetch per cooldown, however many unknown kids there are. A kid that a fetch did
not bring is a reason ever more rarely. Strangers choose kids, so only a limited number is
remembered. A forgotten kid can at most cause one more fetch, and never two in one cooldown.

Not here: the fetching itself.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Container

    from tokensvc.core.identifier import Kid

_MOST_COOLDOWNS: Final = 10  # the longest pause for one kid: five minutes by default


@dataclass(slots=True)
class _UnknownKid:
    # A token has named this kid since the last fetch.
    wanted: bool = True
    # So many fetches in a row did not bring it.
    misses: int = 0
    # From this moment of the monotonic clock it is a reason to fetch again.
    again_on: float = float("-inf")


class UnknownKids:
    """Remembers which kids the issuer does not have. May be called from any thread.

    `cooldown`: seconds between two fetches. `most`: how many kids are remembered.
    """

    def __init__(self, *, cooldown: float, most: int = 1000) -> None:
        self._cooldown = cooldown
        self._most = most
        self._fetched_on = float("-inf")
        self._kids: dict[Kid, _UnknownKid] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return how many kids are remembered."""
        return len(self._kids)

    def is_reason_to_fetch(self, kid: Kid, now: float) -> bool:
        """Note that a token has named this kid; tell whether to fetch because of it.

        `now` is a moment of the monotonic clock.
        """
        with self._lock:
            unknown = self._kids.get(kid)
            if unknown is None:
                if len(self._kids) >= self._most:
                    del self._kids[next(iter(self._kids))]  # the oldest
                unknown = self._kids[kid] = _UnknownKid()
            unknown.wanted = True
            return now - self._fetched_on >= self._cooldown and now >= unknown.again_on

    def begin_fetch(self, now: float) -> frozenset[Kid]:
        """Note that a fetch begins, whether or not it will succeed.

        Returns the kids that it may bring.
        """
        with self._lock:
            self._fetched_on = now
            return frozenset(kid for kid, unknown in self._kids.items() if unknown.wanted)

    def end_fetch(self, hoped_for: frozenset[Kid], keys: Container[Kid]) -> None:
        """Note which of the kids that were hoped for a successful fetch has brought."""
        with self._lock:
            for kid in hoped_for & self._kids.keys():
                unknown = self._kids[kid]
                if kid in keys:
                    del self._kids[kid]
                    continue
                unknown.wanted = False
                # The misses are bounded too, so that the power stays small.
                cooldowns = min(2**unknown.misses, _MOST_COOLDOWNS)
                unknown.again_on = self._fetched_on + self._cooldown * cooldowns
                unknown.misses = min(unknown.misses + 1, _MOST_COOLDOWNS)
