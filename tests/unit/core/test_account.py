from __future__ import annotations

from dataclasses import replace

import pytest
from tests.factories import ACCOUNT_ID, NOW

from tokensvc.core.account import Account, parse_description, parse_name
from tokensvc.core.errors import InvalidInputError
from tokensvc.core.limit import Limits


def test_an_account_is_active_until_it_is_suspended():
    active = Account(
        id=ACCOUNT_ID,
        name="a",
        created_at=NOW,
        suspended_at=None,
        limits=Limits(tier="default"),
        minute_limit=600,
        day_limit=50_000,
    )
    assert active.state == "active"
    assert replace(active, suspended_at=NOW).state == "suspended"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ci", "ci"),
        ("  ci job ", "ci job"),
        ("Bjørn's größte", "Bjørn's größte"),
        ("x" * 200, "x" * 200),
        (" " + "x" * 200, "x" * 200),
    ],
    ids=["plain", "trimmed", "unicode", "longest", "longest after trimming"],
)
def test_a_name_is_kept_trimmed(text, name):
    assert parse_name(text) == name


UNSAFE_NAMES = {
    "empty": "",
    "blank": "   ",
    "too long": "x" * 201,
    "line break": "a\nb",
    "NUL": "a\x00b",
    "terminal escape": "a\x1b[31mb",
    "bidi override": "a\u202eb",
    "lone surrogate": "a\ud800b",
}


@pytest.mark.parametrize("text", UNSAFE_NAMES.values(), ids=UNSAFE_NAMES)
def test_a_name_that_people_cannot_read_safely_is_refused(text):
    with pytest.raises(InvalidInputError, match="a name must have 1 to 200"):
        parse_name(text)


@pytest.mark.parametrize(
    ("text", "description"),
    [("", ""), ("  two\nlines\tand a tab ", "two\nlines\tand a tab"), ("x" * 2000, "x" * 2000)],
    ids=["empty", "lines", "longest"],
)
def test_a_description_may_be_empty_and_have_lines(text, description):
    assert parse_description(text) == description


@pytest.mark.parametrize(
    "text",
    ["x" * 2001, "a\x00b", "a\rb", "a\x1b[2Jb"],
    ids=["too long", "NUL", "carriage return", "escape"],
)
def test_a_description_with_control_characters_or_too_long_is_refused(text):
    with pytest.raises(InvalidInputError, match="a description must have at most 2000"):
        parse_description(text)
