"""Cursors of lists: they lead back to their place, and to no other list."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokensvc.core.errors import InvalidInputError
from tokensvc.core.list_cursor import ListPlace, build_list_cursor, parse_list_cursor

FILTERS = {"state": "active", "sort": "-name"}
TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=50)


@given(TEXT, TEXT)
def test_a_cursor_leads_back_to_its_place(key, thing_id):
    place = ListPlace(key, thing_id)
    cursor = build_list_cursor(place, "keys", FILTERS)
    assert cursor.replace("-", "").replace("_", "").isalnum()
    assert parse_list_cursor(cursor, "keys", FILTERS) == place


@pytest.mark.parametrize("letter", ["a", "\u00e4", "\u6f22", "\U0001f511"])
def test_the_longest_name_fits_into_a_cursor(letter):
    place = ListPlace(letter * 200, "key_0123456789abcdef")
    cursor = build_list_cursor(place, "keys", FILTERS)
    assert parse_list_cursor(cursor, "keys", FILTERS) == place


def other_payload(cursor: str) -> str:
    data = bytearray(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    data[-3] ^= 1
    return base64.urlsafe_b64encode(bytes(data)).decode().rstrip("=")


@pytest.mark.parametrize(
    ("text", "name", "filters"),
    [
        (lambda cursor: cursor, "accounts", FILTERS),
        (lambda cursor: cursor, "keys", FILTERS | {"state": "revoked"}),
        (lambda cursor: cursor, "keys", {}),
        (other_payload, "keys", FILTERS),
        (lambda cursor: cursor[:-1], "keys", FILTERS),
        (lambda cursor: cursor + "A", "keys", FILTERS),
        (lambda _: "", "keys", FILTERS),
        (lambda _: "!" * 20, "keys", FILTERS),
        (lambda _: "A" * 5000, "keys", FILTERS),
        (lambda _: "\u00e4\u00f6", "keys", FILTERS),
    ],
)
def test_a_cursor_of_another_list_or_a_changed_one_is_refused(text, name, filters):
    cursor = build_list_cursor(ListPlace("2026-11-26", "key_1"), "keys", FILTERS)
    with pytest.raises(InvalidInputError) as caught:
        parse_list_cursor(text(cursor), name, filters)
    assert caught.value.faults[0].pointer == "/cursor"
