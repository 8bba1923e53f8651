"""How many polls of the feed are held back until there is news: in all, and for each network.

A poll beyond the limit is answered at once, so its follower still learns that nothing is missing.
It only learns of a revocation when it asks the next time.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokensvc.web.limited import Limited


class Polls:
    """Counts the polls that are held back: `held` in all."""

    def __init__(self, limited: Limited, *, most: int, most_of_network: int) -> None:
        self._limited = limited
        self._most = most
        self._most_of_network = most_of_network
        self._of_network: Counter[str] = Counter()
        self.held = 0

    @contextmanager
    def hold(self, network: str) -> Iterator[bool]:
        """Count a poll of `network` for the length of the block; False: do not hold it back."""
        limit = self._find_limit(network)
        if limit is not None:
            self._limited.note(limit)
            yield False
            return
        self.held += 1
        self._of_network[network] += 1
        try:
            yield True
        finally:
            self.held -= 1
            self._of_network[network] -= 1
            if not self._of_network[network]:
                del self._of_network[network]

    def _find_limit(self, network: str) -> str | None:
        if self.held >= self._most:
            return "polls"
        if self._of_network[network] >= self._most_of_network:
            return "polls_of_network"
        return None
