"""Lists for people: tables that drop columns before they cut a text, and lines for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from unicodedata import combining, east_asian_width

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Cells = Mapping[str, str]

_GAP: Final = "  "
_ALWAYS: Final = 3  # what a thing is, what it is called, and its state come first


class Table:
    """A table that is drawn as its rows come.

    `columns`: the most important first. `room`: how wide it may be, None for no limit. The first
    three columns are always shown, and each other one if it fits. A text is never cut.
    """

    def __init__(self, columns: Sequence[str], room: int | None) -> None:
        self._titles = {name: name.replace("_", " ") for name in columns}
        self._widths = {name: measure(title) for name, title in self._titles.items()}
        self._room = room
        self._shown: list[str] | None = None

    @property
    def left_out(self) -> list[str]:
        """The columns that did not fit."""
        shown = self._shown or ()
        return [title for name, title in self._titles.items() if name not in shown]

    def draw(self, rows: Sequence[Cells]) -> Iterator[tuple[str, bool]]:
        """Yield lines, each with whether it is a heading. A new heading comes with new columns."""
        for name, width in self._widths.items():
            self._widths[name] = max(width, *(measure(row[name]) for row in rows))
        shown = choose_columns(self._widths, self._room)
        if shown != self._shown:
            self._shown = shown
            yield self._build_line(self._titles), True
        for row in rows:
            yield self._build_line(row), False

    def _build_line(self, cells: Cells) -> str:
        texts = (
            cells[name] + " " * (self._widths[name] - measure(cells[name]))
            for name in self._shown or ()
        )
        return _GAP.join(texts).rstrip()


def choose_columns(widths: Mapping[str, int], room: int | None) -> list[str]:
    """Return the columns that fit into `room`: the first ones, and each other one in turn."""
    shown: list[str] = []
    used = -len(_GAP)
    for name, width in widths.items():
        needed = used + len(_GAP) + width
        if len(shown) < _ALWAYS or room is None or needed <= room:
            shown.append(name)
            used = needed
    return shown


def measure(text: str) -> int:
    """Return how many cells of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(char) else 1 + (east_asian_width(char) in "WF") for char in text)
