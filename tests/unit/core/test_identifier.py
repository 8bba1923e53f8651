from __future__ import annotations

import re

import pytest

from tokensvc.core.errors import InvalidInputError
from tokensvc.core.identifier import (
    BASE62,
    new_account_id,
    new_base62,
    new_jti,
    new_jtis,
    new_key_id,
    parse_jti,
    parse_kid,
)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (new_account_id, r"acct_[0-9A-Za-z]{16}"),
        (new_key_id, r"key_[0-9A-Za-z]{16}"),
        (new_jti, r"[0-9A-Za-z]{20}"),
    ],
    ids=["account", "key", "token"],
)
def test_an_identifier_shows_what_it_names_and_does_not_repeat(make, shape):
    made = {make() for _ in range(500)}
    assert len(made) == 500
    assert all(re.fullmatch(shape, identifier) for identifier in made)


def test_ids_of_tokens_that_are_made_together_are_as_good_as_others():
    made = new_jtis(500)
    assert len(set(made)) == len(made) == 500
    assert all(parse_jti(jti) == jti for jti in made)


def test_all_62_characters_turn_up():
    assert set(new_base62(10_000)) == set(BASE62)
    assert len(set(BASE62)) == 62


def test_the_id_of_a_signing_key_is_a_thumbprint():
    assert parse_kid("aB3-_" * 8 + "abc") == "aB3-_" * 8 + "abc"
    for text in ("", "a" * 42, "a" * 44, "a" * 42 + "\n", "a" * 42 + "="):
        with pytest.raises(InvalidInputError):
            parse_kid(text)


def test_the_id_of_a_token_is_taken():
    jti = new_jti()
    assert parse_jti(jti) == jti


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a" * 19,
        "a" * 21,
        "a" * 19 + " ",
        "a" * 19 + "\n",
        "a" * 19 + "\u0663",
        "key_0123456789abcdef",
    ],
)
def test_what_is_no_id_of_a_token_is_refused_and_not_repeated(text):
    with pytest.raises(InvalidInputError, match="20 letters and digits") as refused:
        parse_jti(text)
    assert not text or text not in refused.value.message
