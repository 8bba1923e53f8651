"""What an account may say of its keys."""

from __future__ import annotations

import pytest

from tokensvc.core.errors import InvalidInputError
from tokensvc.core.key_metadata import check_metadata, check_own_claims


def nest(depth):
    value: dict[str, object] = {}
    for _ in range(depth):
        value = {"x": [value]}
    return value


def test_small_json_is_taken_as_it_is():
    value = {"team": "red", "sizes": [1, 2.5, None, True], "deep": nest(2)}
    assert check_metadata(value) is value
    assert check_own_claims({"plan": "gold"}) == {"plan": "gold"}


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ({"x": "\ud800"}, "must be JSON in UTF-8"),
        ({"x": float("nan")}, "must be JSON in UTF-8"),
        ({"x": "y" * 5000}, "may have 4096 bytes"),
        (nest(5), "nested more than 8 deep"),
        ({"x": "a\0b"}, "holds a NUL character"),
        ({"a\0b": 1}, "has 1 to 100 characters"),
        ({"": 1}, "has 1 to 100 characters"),
        ({"n" * 101: 1}, "has 1 to 100 characters"),
    ],
)
def test_what_cannot_be_stored_is_refused(value, fault):
    with pytest.raises(InvalidInputError, match=fault):
        check_metadata(value)


@pytest.mark.parametrize("name", ["sub", "auth_time", "roles", "origin_x", "tokensvc_y"])
def test_a_claim_that_means_something_already_is_refused(name):
    with pytest.raises(InvalidInputError, match="set by the service or registered"):
        check_own_claims({name: 1})
