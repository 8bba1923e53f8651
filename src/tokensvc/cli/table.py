"""Tables for people, which leave columns out rather than cut a text."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final
from unicodedata import combining, east_asian_width

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Cells = Mapping[str, str]

_GAP: Final = "  "
_ALWAYS: Final = 3  # what a thing is, what it is called, and its state come first
_LEAST_FOR_SENTENCES: Final = 20  # in a narrower column there would be a word a line


class Table:
    """A table that is drawn as its rows come.

    `columns`: the most important first. `room`: how wide it may be, None for no limit. The first
    three columns are always shown, and each other one if it fits. A text is never cut. `sentences`:
    the last column, if its texts may go on in further lines.
    """

    def __init__(
        self, columns: Sequence[str], room: int | None, *, sentences: str | None = None
    ) -> None:
        self._titles = {name: name.replace("_", " ") for name in columns}
        self._widths = {name: measure(title) for name, title in self._titles.items()}
        self._room = room
        self._sentences = sentences
        self._shown: list[str] | None = None

    @property
    def left_out(self) -> list[str]:
        """The columns that did not fit."""
        shown = self._shown or ()
        return [title for name, title in self._titles.items() if name not in shown]

    def draw(self, rows: Sequence[Cells]) -> Iterator[tuple[str, bool]]:
        """Yield lines, each with whether it is a heading. A new heading comes with new columns."""
        for name, width in self._widths.items():
            # A column never gets narrower, so the lines of later pages stand below those of earlier
            # ones.
            self._widths[name] = max(width, *(measure(row[name]) for row in rows))
        shown = choose_columns(self._find_needed_widths(), self._room)
        if shown != self._shown:
            self._shown = shown
            yield self._build_line(self._titles), True
        for row in rows:
            for cells in self._spread(row):
                yield self._build_line(cells), False

    def _find_needed_widths(self) -> dict[str, int]:
        """Return how wide each column must be at least."""
        needed = dict(self._widths)
        if self._sentences is not None:
            needed[self._sentences] = min(needed[self._sentences], _LEAST_FOR_SENTENCES)
        return needed

    def _spread(self, row: Cells) -> Iterator[Cells]:
        """Yield the cells of each line of a row: the first one, and what its sentence needs."""
        last = self._sentences
        if last is None or self._room is None or self._shown is None or last not in self._shown:
            yield row
            return
        before = sum(self._widths[name] + len(_GAP) for name in self._shown[:-1])
        # Words are not broken, so a long one still goes over the edge rather than being cut.
        room = max(self._room - before, _LEAST_FOR_SENTENCES)
        parts = textwrap.wrap(row[last], room, break_long_words=False, break_on_hyphens=False)
        yield {**row, last: parts[0] if parts else ""}
        empty = dict.fromkeys(row, "")
        for part in parts[1:]:
            yield {**empty, last: part}

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
