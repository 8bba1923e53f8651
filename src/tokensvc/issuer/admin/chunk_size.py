"""How many rows are changed at a time, so that others who want them do not wait for long."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The first chunk is small, because nothing is known of this database yet. A quick one at most
# doubles the size.
_FIRST: Final = 16
_MOST: Final = 100
_MOST_GROWTH: Final = 2


class ChunkSize:
    """The size of the next chunk: as many rows as are changed in about `seconds`.

    What a chunk has taken is measured with the waiting for locks in it, so that a database that is
    busy gets smaller chunks.
    """

    def __init__(self, seconds: float = 0.02, clock: Callable[[], float] = time.monotonic) -> None:
        self.rows = _FIRST
        self._seconds = seconds
        self._clock = clock

    @contextmanager
    def measure(self, size: int) -> Iterator[None]:
        """Measure a chunk of `size` rows. After one that fails, rows are taken one by one."""
        begun_on = self._clock()
        try:
            yield
        except BaseException:
            self.rows = 1
            raise
        rate = size / max(self._clock() - begun_on, 1e-6)
        wanted = int(rate * self._seconds)
        self.rows = max(1, min(wanted, self.rows * _MOST_GROWTH, _MOST))
