from __future__ import annotations

from datetime import timedelta

import pytest
from tests.factories import make_audience, make_issuing_policy

from tokensvc.core.audience import parse_audience
from tokensvc.core.errors import InvalidInputError


@pytest.mark.parametrize("text", ["api", "https://api.example/v1?a=b", "urn:x:y", "!~", "x" * 255])
def test_an_audience_has_a_name_of_visible_ascii(text):
    assert parse_audience(text) == text


@pytest.mark.parametrize(
    "text", ["", "x" * 256, "a b", " a", "a\n", "a\tb", 'a"b', "a\\b", "\u00e9", "a\x7f"]
)
def test_any_other_name_is_refused(text):
    with pytest.raises(InvalidInputError, match="an audience has 1 to 255 visible ASCII"):
        parse_audience(text)


@pytest.mark.parametrize("text", ["tokensvc", "tokensvc:", "tokensvc:denylist", "TokenSvc:x"])
def test_t7_names_that_the_service_signs_for_itself_are_reserved(text):
    with pytest.raises(InvalidInputError, match="reserved for the service itself"):
        parse_audience(text)


@pytest.mark.parametrize(
    "text", ["tokensvc2", "my-tokensvc", "https://tokensvc:8080", "tokensvc/x"]
)
def test_names_that_only_look_like_reserved_ones_are_taken(text):
    assert parse_audience(text) == text


MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.mark.parametrize(
    ("own", "usual", "greatest", "longest"),
    [
        (None, 10 * MINUTE, HOUR, 10 * MINUTE),
        (5 * MINUTE, 10 * MINUTE, HOUR, 5 * MINUTE),
        (20 * MINUTE, 10 * MINUTE, HOUR, 20 * MINUTE),
        (2 * HOUR, 10 * MINUTE, HOUR, HOUR),
        (None, 2 * HOUR, HOUR, HOUR),
    ],
    ids=["by default", "shorter", "longer", "too long", "default too long"],
)
def test_a_token_lives_as_long_as_its_audience_says_up_to_the_greatest_life(
    own, usual, greatest, longest
):
    policy = make_issuing_policy(token_life=usual, max_token_life=greatest)
    assert policy.find_longest_life(make_audience(token_life=own)) == longest
