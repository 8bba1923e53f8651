"""Tables for people, which leave columns out, and shorten long ids so that fewer are left out."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Final
from unicodedata import combining, east_asian_width

from tokensvc.core.identifier import KID_PATTERN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Cells = Mapping[str, str]

_GAP: Final = "  "
_ALWAYS: Final = 3  # what a thing is, what it is called, and its state come first
_LEAST_FOR_SENTENCES: Final = 20  # in a narrower column there would be a word a line
# The beginning of a `kid` is as good as the whole in commands, and 8 characters name just one.
_LEAST_FOR_KIDS: Final = 9
_LEAST_FOR_WORDS: Final = 22  # so that no id with a mark, like `acct_...`, is ever shortened
_CUT: Final = "\N{HORIZONTAL ELLIPSIS}"
_KID: Final = re.compile(KID_PATTERN)
_WORD: Final = re.compile(r"[!-~]+")


class Table:
    """A table that is drawn as its rows come.

    `columns`: the most important first. `room`: how wide it may be, None for no limit. The first
    three columns are always shown, and each other one if it fits. Where there is not room for all
    of a `kid`, or of a long word behind the first three columns, its beginning is shown; no other
    text is cut. `sentences`: the last column, if its texts may go on in further lines.
    """

    def __init__(
        self, columns: Sequence[str], room: int | None, *, sentences: str | None = None
    ) -> None:
        self._titles = {name: name.replace("_", " ") for name in columns}
        self._whole = {name: measure(title) for name, title in self._titles.items()}
        self._least = dict(self._whole)  # how wide each column must be
        self._widths: Mapping[str, int] = {}
        self._room = room
        self._sentences = sentences
        self._shown: list[str] | None = None

    @property
    def left_out(self) -> list[str]:
        """The columns that did not fit."""
        return [title for name, title in self._titles.items() if name not in self._widths]

    @property
    def shortened(self) -> list[str]:
        """The columns in which a text was cut."""
        return [
            self._titles[name]
            for name, width in self._widths.items()
            if name != self._sentences and width < self._whole[name]
        ]

    def draw(self, rows: Sequence[Cells]) -> Iterator[tuple[str, bool]]:
        """Yield lines, each with whether it is a heading. A new heading comes with new columns."""
        self._measure(rows)
        shown = choose_columns(self._least, self._room)
        least = {name: self._least[name] for name in shown}
        self._widths = share_room(least, self._whole, self._room)
        if shown != self._shown:
            self._shown = shown
            yield self._build_line(self._titles), True
        for row in rows:
            for cells in self._spread(row):
                yield self._build_line(cells), False

    def _measure(self, rows: Sequence[Cells]) -> None:
        """Widen the columns to what these rows need."""
        for place, name in enumerate(self._titles):
            texts = [row[name] for row in rows]
            least = (
                min(_LEAST_FOR_SENTENCES, max(map(measure, texts)))
                if name == self._sentences
                else max(find_least_width(text, may_cut_words=place >= _ALWAYS) for text in texts)
            )
            self._whole[name] = max(self._whole[name], *map(measure, texts))
            self._least[name] = max(self._least[name], least)

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
        texts = (self._fit(name, cells[name]) for name in self._shown or ())
        return _GAP.join(texts).rstrip()

    def _fit(self, name: str, text: str) -> str:
        """Return a text as wide as its column, shortened if need be."""
        width = self._widths[name]
        if name != self._sentences and measure(text) > width:
            return text[: width - len(_CUT)] + _CUT
        return text + " " * (width - measure(text))


def find_least_width(text: str, *, may_cut_words: bool) -> int:
    """Return how wide a column must be at least that shows this text."""
    width = measure(text)
    if _KID.fullmatch(text):
        return _LEAST_FOR_KIDS
    return min(width, _LEAST_FOR_WORDS) if may_cut_words and _WORD.fullmatch(text) else width


def share_room(
    least: Mapping[str, int], whole: Mapping[str, int], room: int | None
) -> dict[str, int]:
    """Return how wide columns are: what is left of `room` goes to the first that can use it.

    `least` and `whole`: how wide they must be, and how wide they are if nothing is shortened.
    """
    if room is None:
        return {name: whole[name] for name in least}
    left = room - sum(least.values()) - len(_GAP) * (len(least) - 1)
    widths = {}
    for name, width in least.items():
        more = max(0, min(left, whole[name] - width))
        widths[name] = width + more
        left -= more
    return widths


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
