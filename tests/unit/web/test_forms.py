"""A form with one plain parameter is read by a shorter way, and means the same."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokensvc.core.errors import InvalidRequestError
from tokensvc.web.forms import parse_form

TEXTS = st.text("aZ0_.~:/-=&+%?# ;\0ü", max_size=12)


@given(TEXTS)
def test_every_body_is_read_as_the_standard_library_reads_it(text):
    body = text.encode()
    try:
        form = parse_form(body)
    except InvalidRequestError:
        return
    assert form == {name: value for name, value in parse_qsl(text, keep_blank_values=True) if value}


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (b"audience=api", {"audience": "api"}),
        (b"resource=https://api.example/v1", {"resource": "https://api.example/v1"}),
        (b"audience=", {}),
    ],
)
def test_one_plain_parameter(body, form):
    assert parse_form(body) == form


@pytest.mark.parametrize("body", [b"a=1\n", b"a=1\0", b"a=1=2", b"a", b"a=%31"])
def test_what_is_not_plain_takes_the_long_way(body):
    try:
        form = parse_form(body)
    except InvalidRequestError:
        assert b"\0" in body
        return
    text = body.decode()
    assert form == {name: value for name, value in parse_qsl(text, keep_blank_values=True) if value}
