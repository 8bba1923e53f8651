"""What a relying party says in WWW-Authenticate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokensvc.client._challenge import find_bearer_error, refuses_token

CHALLENGES = [
    ('Bearer error="invalid_token"', "invalid_token"),
    ('Bearer realm="a, b", error="invalid_token", error_description="expired"', "invalid_token"),
    ("bearer error=invalid_token", "invalid_token"),
    ('BEARER ERROR = "invalid_token"', "invalid_token"),
    ('Basic realm="x", Bearer error="invalid_token"', "invalid_token"),
    ('Bearer error="invalid_token", Basic realm="x"', "invalid_token"),
    ('Negotiate YII==, Bearer realm="x", error="invalid_token"', "invalid_token"),
    ('Bearer realm="error=\\"invalid_token\\""', None),
    ('Bearer realm="x", error="insufficient_scope"', "insufficient_scope"),
    ('DPoP error="invalid_token"', None),
    ('Bearer realm="x", DPoP error="invalid_token"', None),
    ("Bearer", None),
    ('error="invalid_token"', None),
    ('Bearer error_description="invalid_token"', None),
    ('Bearer x_error="invalid_token"', None),
    ('Bearer error="', None),
    ("", None),
]


@pytest.mark.parametrize(("text", "error"), CHALLENGES)
def test_the_error_of_a_bearer_challenge_is_found(text, error):
    assert find_bearer_error(text) == error
    assert refuses_token(401, ["Basic", text]) == (error == "invalid_token")
    for status in (200, 400, 403, 407, 503):
        assert not refuses_token(status, [text])


@given(st.text(max_size=200) | st.text('Bearer =",\\', max_size=300))
def test_any_challenge_is_read(text):
    find_bearer_error(text)
