"""How many polls of the feed are held back until there is news: in all, and for each network.

A poll beyond the limit is held back for a second at most. So its follower still learns that nothing
is missing, and hears of a revocation when it asks the next time. It cannot ask without a pause, as
it could if it were answered at once. When very many are held back like this, further ones are
answered at once.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokensvc.web.limit_log import LimitLog


_PAUSE_SECONDS: Final = 1.0


class Polls:
    """Counts the polls that are held back: `held` until there is news, `paused` for a second.

    `most` may be held, half as many paused.
    """

    def __init__(self, limited: LimitLog, *, most: int, most_of_network: int) -> None:
        self._limited = limited
        self._most = most
        self._most_of_network = most_of_network
        self._of_network: Counter[str] = Counter()
        self.held = 0
        self.paused = 0

    @contextmanager
    def hold(self, network: str, wait: float) -> Iterator[float]:
        """Count a poll of `network` for the length of the block; say how long it may wait.

        `wait`: how long it wants to, in seconds.
        """
        limit = self._find_limit(network)
        if limit is None:
            with self._count_held(network):
                yield wait
            return
        self._limited.note(limit)
        if 2 * self.paused >= self._most:
            yield 0
            return
        self.paused += 1
        try:
            yield min(wait, _PAUSE_SECONDS)
        finally:
            self.paused -= 1

    @contextmanager
    def _count_held(self, network: str) -> Iterator[None]:
        self.held += 1
        self._of_network[network] += 1
        try:
            yield
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
