"""Random names that are made many at once: to ask the kernel for each costs more than all else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_T = TypeVar("_T")


class IdentifierStock(Generic[_T]):
    """Hands out what `make` makes, each once; it lives as long as the process.

    A process that is forked begins anew, so that it never hands out what its parent does.
    """

    def __init__(self, make: Callable[[], Sequence[_T]]) -> None:
        self._make = make
        self._ready: list[_T] = []
        os.register_at_fork(after_in_child=self._ready.clear)

    def take(self) -> _T:
        """Return the next one. To take from the list is atomic, so threads may share it."""
        while True:
            try:
                return self._ready.pop()
            except IndexError:
                self._ready.extend(self._make())
