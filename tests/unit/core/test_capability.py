from __future__ import annotations

import pytest
from tests.factories import NOW

from tokensvc.core.capability import (
    ADMIN,
    Capability,
    narrow_scope,
    parse_capability,
    parse_scope,
)
from tokensvc.core.errors import InvalidInputError, InvalidScopeError

BAD_NAMES = ["", "a b", "-a", ".a", ":a", "a\n", 'a"b', "a\\b", "\u00e9", "a,b", "x" * 65]


@pytest.mark.parametrize(
    "name", ["orders:read", "rabbitmq.read:*/*", "*", "A-Z_9", "x" * 64, ADMIN]
)
def test_a_name_that_survives_headers_and_shells_is_taken(name):
    assert parse_capability(name) == name
    assert Capability(name=name, description="", created_at=NOW).name == name


@pytest.mark.parametrize("name", BAD_NAMES)
def test_any_other_name_is_refused(name):
    with pytest.raises(InvalidInputError, match="a capability is 1 to 64"):
        parse_capability(name)


def test_a_refused_name_is_quoted_only_in_part():
    with pytest.raises(InvalidInputError) as refusal:
        parse_capability("!" * 1_000_000)
    assert len(refusal.value.message) < 300


def test_order_and_repetition_in_a_scope_do_not_matter():
    assert parse_scope("b a b") == parse_scope("a b") == {"a", "b"}


@pytest.mark.parametrize(
    "text", ["", " ", " a", "a ", "a  b", "a\tb", "a\nb", 'a "b"', "a," + "b" * 100]
)
def test_a_scope_is_names_and_single_spaces(text):
    with pytest.raises(InvalidScopeError):
        parse_scope(text)


@pytest.mark.parametrize(
    ("asked", "granted", "given"),
    [
        (None, ("b", "a"), ("a", "b")),
        (frozenset({"a"}), ("b", "a"), ("a",)),
        (frozenset({"b", "a"}), ("a", "b"), ("a", "b")),
        (None, ("tokensvc:admin", "b", "tokensvc", "tokensvc.x"), ("b", "tokensvc", "tokensvc.x")),
        (frozenset({"tokensvc:admin"}), ("a", "tokensvc:admin"), ("tokensvc:admin",)),
    ],
    ids=["nothing asked: all", "a part", "all by name", "none of our own", "our own by name"],
)
def test_a_scope_is_narrowed_to_what_was_asked_for(asked, granted, given):
    assert narrow_scope(asked, granted) == given


def test_who_holds_only_what_must_be_named_is_told_to_name_it():
    with pytest.raises(InvalidScopeError, match="scope must name what is wanted") as refusal:
        narrow_scope(None, ("tokensvc:admin", "tokensvc:introspect"))
    assert refusal.value.reason == "unnamed_scope"


@pytest.mark.parametrize("asked", ["c", "ac", "A", ["a*"], "*"], ids="".join)
def test_asking_for_more_than_is_granted_is_refused_as_a_whole(asked):
    with pytest.raises(InvalidScopeError, match="more than this key or token has: "):
        narrow_scope(frozenset(asked), ("a", "b"))


def test_a_wildcard_that_is_granted_is_only_a_name():
    with pytest.raises(InvalidScopeError):
        narrow_scope(frozenset({"orders:read"}), ("*", "orders:*"))
