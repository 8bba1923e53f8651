"""Work in steps: a generator that pauses after each, so that others may have their turn.

What takes long is written once, as such a generator. A caller with an event loop lets the loop go
on between two steps; any other caller takes all steps at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Generator

_T = TypeVar("_T")


def run_steps(steps: Generator[None, None, _T]) -> _T:
    """Take all steps at once; return what they return."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: _T = end.value
            return result
