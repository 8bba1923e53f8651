from __future__ import annotations

import pytest

from tokensvc.core.denylist.position import Position, contradicts, new_tag, parse_cursor
from tokensvc.core.errors import InvalidRequestError


@pytest.mark.parametrize(
    "position",
    [Position(0, "a"), Position(42, "9f86d081884c7d65"), Position(10**18 - 1, "Z" * 32)],
    ids=str,
)
def test_a_cursor_names_a_position(position):
    assert parse_cursor(str(position)) == position


NO_CURSORS = {
    "empty": "",
    "no tag": "1",
    "no number": "-a",
    "empty tag": "1-",
    "leading zero": "01-a",
    "minus": "-1-a",
    "plus": "+1-a",
    "space before": " 1-a",
    "space after": "1-a ",
    "line break after": "1-a\n",
    "two hyphens": "1-a-b",
    "underscore": "1-a_b",
    "fraction": "1.0-a",
    "digit that is not ASCII": "\u0661-a",
    "number of 19 digits": f"{10**18}-a",
    "tag of 33 letters": "1-" + "a" * 33,
}


@pytest.mark.parametrize("text", NO_CURSORS.values(), ids=NO_CURSORS)
def test_anything_else_is_no_cursor(text):
    with pytest.raises(InvalidRequestError, match="after must be a cursor"):
        parse_cursor(text)


def test_a_new_tag_can_stand_in_a_cursor_and_does_not_repeat():
    tags = {new_tag() for _ in range(100)}
    assert len(tags) == 100
    assert all(parse_cursor(f"1-{tag}").tag == tag for tag in tags)


@pytest.mark.parametrize(
    ("end", "contradicted"),
    [
        (Position(5, "a"), False),
        (Position(6, "b"), False),
        (Position(5, "b"), True),
        (Position(4, "a"), True),
    ],
    ids=["the same", "goes on", "another tag", "ends before"],
)
def test_a_history_contradicts_a_position_that_it_cannot_contain(end, contradicted):
    assert contradicts(end, Position(5, "a")) is contradicted
