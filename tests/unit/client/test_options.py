"""The options of token sources."""

from __future__ import annotations

import inspect

import pytest

from tokensvc.client import KeyUnreadableError, TokenSource
from tokensvc.client._options import TokenSourceOptions


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"issuer": "http://auth.example.com"}, "must be https"),
        ({"api_key": "/run/secrets/key"}, "given as a Path"),
        ({"scope": ""}, "not be empty"),
        ({"timeout": 40}, "at most patience"),
        ({"expires_in": 0}, "at least 1 s"),
    ],
)
def test_wrong_options_are_refused_by_the_constructor(wrong, told, new_source):
    with pytest.raises((ValueError, KeyUnreadableError), match=told):
        new_source(**wrong)


def test_an_issuer_without_tls_is_taken_where_that_is_allowed(new_source):
    with pytest.raises(ValueError, match="https"):
        new_source(issuer="http://tokensvc:8080")
    new_source(issuer="http://tokensvc:8080", allow_http=True)


def test_the_type_of_the_options_names_those_that_the_source_takes():
    taken = inspect.signature(TokenSource).parameters
    named = {
        name: text.__forward_arg__ for name, text in TokenSourceOptions.__annotations__.items()
    }
    assert list(named) == list(taken)
    required = {name for name, option in taken.items() if option.default is option.empty}
    assert {name for name, text in named.items() if text.startswith("Required[")} == required
