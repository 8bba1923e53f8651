"""Reading a long JSON object in steps of about a millisecond.

`json.loads` reads a text in one go, and meanwhile no other thread goes on. Here only the lists in
the object may be long: their items are read some at a time.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Generator

_PER_STEP: Final = 64 * 1024
_ONE_BY_ONE: Final = 8 * 1024  # characters in a step that reads each value by itself
_SHORT: Final = 1024  # characters; nearly all values are shorter
_BETWEEN_OBJECTS: Final = "},{"
_BLANKS: Final = re.compile(r"[ \t\n\r]*")
_READER: Final = json.JSONDecoder()


def parse_object_in_steps(
    text: str, *, per_step: int = _PER_STEP
) -> Generator[None, None, dict[str, Any]]:
    """Return the object that `text` is, as `json.loads` would.

    `per_step`: how many characters are read in one step. Raises ValueError or RecursionError if it
    is no object, or if a value that is not one of its lists is longer than that.
    """
    reader = _Reader(text, per_step)
    members: dict[str, Any] = {}
    reader.expect("{")
    while not reader.skip("}"):
        if members:
            reader.expect(",")
        name = reader.read_name()
        reader.expect(":")
        if reader.skip("["):
            members[name] = yield from _read_items(reader)
        else:
            members[name] = reader.read_value()
            yield
    reader.expect_end()
    return members


def _read_items(reader: _Reader) -> Generator[None, None, list[Any]]:
    """Return the items of a list that has begun."""
    items: list[Any] = []
    while not reader.skip("]"):
        if items:
            reader.expect(",")
        items += reader.read_some()
        yield
    return items


class _Reader:
    """Goes through a text from front to back."""

    def __init__(self, text: str, per_step: int) -> None:
        self._text = text
        self._per_step = per_step
        self._at = 0
        self._go_to(0)

    def skip(self, mark: str) -> bool:
        """Go past a mark if it comes next, and tell whether it did."""
        is_next = self._text.startswith(mark, self._at)
        if is_next:
            self._go_to(self._at + len(mark))
        return is_next

    def expect(self, mark: str) -> None:
        """Go past a mark. Raises ValueError if something else comes next."""
        if not self.skip(mark):
            raise ValueError(f"expected {mark}")

    def expect_end(self) -> None:
        """Raise ValueError unless everything has been read."""
        if self._at < len(self._text):
            raise ValueError("there is more than an object")

    def read_name(self) -> str:
        """Return the name of a member. Raises ValueError."""
        if not self._text.startswith('"', self._at):
            raise ValueError("a name must be a string")
        return str(self.read_value())

    def read_value(self) -> Any:  # noqa: ANN401 - whatever JSON holds
        """Return the value that comes next. Raises ValueError."""
        # First a short piece: to copy a long one for each value would cost more than to read it.
        for size in (min(_SHORT, self._per_step), self._per_step):
            part = self._text[self._at : self._at + size]
            try:
                value, length = _READER.raw_decode(part)
            except ValueError:
                continue
            # A number that ends where the part ends may go on after it.
            if length < len(part) or self._at + length == len(self._text):
                self._go_to(self._at + length)
                return value
        raise ValueError("there is no value, or it is too long")

    def read_some(self) -> list[Any]:
        """Return the items of a list that come next, one or more. Raises ValueError."""
        part = self._text[self._at : self._at + self._per_step]
        # The end of the last item that lies in the part as a whole: after its brace.
        end = part.rfind(_BETWEEN_OBJECTS) + 1
        if end:
            # If this is JSON, the mark stood between two items. Else it stood inside of one.
            try:
                items: list[Any] = json.loads(f"[{part[:end]}]")
            except ValueError:
                pass
            else:
                self._go_to(self._at + end)
                return items
        end = self._at + min(_ONE_BY_ONE, self._per_step)
        values = [self.read_value()]
        while self._at < end and self.skip(","):
            values.append(self.read_value())
        return values

    def _go_to(self, at: int) -> None:
        blanks = _BLANKS.match(self._text, at)
        self._at = at if blanks is None else blanks.end()
