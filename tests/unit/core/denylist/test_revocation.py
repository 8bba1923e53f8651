from __future__ import annotations

import pytest

from tokensvc.core.denylist.revocation import KINDS, Revocation, build_entry, parse_entry


def test_there_are_four_kinds_of_revocation():
    assert KINDS == ("jti", "key", "account", "kid")


@pytest.mark.parametrize(
    ("revocation", "entry"),
    [
        (Revocation(kind="jti", value="j", exp=7), {"jti": "j", "exp": 7}),
        (Revocation(kind="kid", value="k", exp=7), {"kid": "k", "exp": 7}),
        (Revocation(kind="key", value="k", exp=7, upto=0), {"key": "k", "exp": 7, "upto": 0}),
        (
            Revocation(kind="account", value="a", exp=7, upto=5),
            {"account": "a", "exp": 7, "upto": 5},
        ),
    ],
    ids=["jti", "kid", "key", "account"],
)
def test_an_entry_names_one_thing_and_its_times_and_is_read_back(revocation, entry):
    assert build_entry(revocation) == entry
    assert parse_entry(entry) == revocation


def test_an_id_of_255_characters_is_taken_and_unknown_members_are_ignored():
    entry = {"jti": "x" * 255, "exp": 7, "upto": "ignored for a token", "why": "?"}
    assert parse_entry(entry) == Revocation(kind="jti", value="x" * 255, exp=7)


# What no entry may be. Each is found inside a page as well, which is then refused as a whole.
MALFORMED = {
    "text": "j1",
    "null": None,
    "empty": {},
    "names nothing": {"exp": 7},
    "names two things": {"jti": "j", "kid": "k", "exp": 7},
    "an unknown kind": {"session": "s", "exp": 7},
    "id is a number": {"jti": 1, "exp": 7},
    "id is empty": {"jti": "", "exp": 7},
    "id of 256 characters": {"jti": "x" * 256, "exp": 7},
    "exp missing": {"jti": "j"},
    "exp is text": {"jti": "j", "exp": "1"},
    "exp is true": {"jti": "j", "exp": True},
    "exp is negative": {"jti": "j", "exp": -1},
    "exp beyond all clocks": {"jti": "j", "exp": 2**53},
    "key without watermark": {"key": "k", "exp": 7},
    "watermark null": {"account": "k", "exp": 7, "upto": None},
    "watermark with a fraction": {"account": "k", "exp": 7, "upto": 1.5},
}


@pytest.mark.parametrize("entry", MALFORMED.values(), ids=MALFORMED)
def test_any_other_entry_is_refused(entry):
    with pytest.raises((KeyError, TypeError)):
        parse_entry(entry)
