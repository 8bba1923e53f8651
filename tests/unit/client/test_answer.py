"""What answers mean: the issuer's, and a relying party's WWW-Authenticate."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.client.loopback import KEY

from tokensvc.client.answer import Answer, judge, parse_retry_after
from tokensvc.client.challenge import find_bearer_error, refuses_token
from tokensvc.client.errors import Failure, build_error
from tokensvc.client.plan import HeldToken
from tokensvc.core.api_key import ApiKey

GOOD = {"access_token": "a.b.c", "token_type": "Bearer", "expires_in": 600}
DATE = "Mon, 23 Nov 2026 12:00:00 GMT"


def judged(status=200, body=None, **headers):
    text = (
        json.dumps(GOOD if body is None else body).encode() if not isinstance(body, bytes) else body
    )
    values = {"retry_after": None, "date": None, "sent_on": 0.0, "came_on": 1.0} | headers
    return judge(Answer(status=status, body=text, **values), key=ApiKey(KEY), chance=0.5)


@pytest.mark.parametrize(
    "change", [{}, {"token_type": "bearer"}, {"scope": "a"}, {"expires_in": 600.0}]
)
def test_a_token_is_taken(change):
    token = judged(body=GOOD | change)
    assert isinstance(token, HeldToken)
    assert (token.text, token.ends_on) == ("a.b.c", 600)


@pytest.mark.parametrize(
    "change",
    [
        {"access_token": None},
        {"access_token": ""},
        {"access_token": "a\nX-Other: b"},
        {"access_token": "a" * 20_000},
        {"token_type": "DPoP"},
        {"token_type": None},
        {"expires_in": "600"},
        {"expires_in": 0},
        {"expires_in": -5},
        {"expires_in": True},
        {"expires_in": None},
        {"expires_in": 10**400},
        {"expires_in": float("nan")},
    ],
)
def test_an_answer_without_a_usable_token_counts_as_away(change):
    assert judged(body=GOOD | change).kind == "unavailable"


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"\xff", b"[" * 60_000, b"<html>"])
@pytest.mark.parametrize("status", [200, 302, 400, 401, 404, 408, 429, 500, 503])
def test_any_body_is_judged(status, body):
    failure = judged(status, body)
    expected = {
        200: "unavailable",
        401: "key_rejected",
        408: "unavailable",
        429: "rate_limited",
        500: "unavailable",
        503: "unavailable",
    }
    assert failure.kind == expected.get(status, "refused")


def test_what_the_issuer_says_is_told_in_one_printable_line():
    failure = judged(
        400, {"error": "invalid_scope", "error_description": "no\x1b[31m such\nscope" + "x" * 500}
    )
    assert failure.message.startswith("no?[31m such?scopexx")
    assert len(failure.message) == 200
    assert judged(400, {"error": "invalid_target"}).message == "invalid_target"
    assert judged(429, {}).message == "over a limit of the issuer"


@pytest.mark.parametrize(
    ("text", "date", "seconds"),
    [
        (None, DATE, None),
        ("7", None, 7),
        (" 7 ", None, 7),
        ("0", None, 0),
        ("999999999", None, 86_400),
        ("-7", None, None),
        ("7.5", None, None),
        ("soon", DATE, None),
        ("Mon, 23 Nov 2026 12:00:30 GMT", DATE, 30),
        ("Mon, 23 Nov 2026 11:00:00 GMT", DATE, 0),
        ("Mon, 23 Nov 2036 11:00:00 GMT", DATE, 86_400),
        ("Mon, 23 Nov 2026 12:00:30 GMT", None, None),
        ("Mon, 23 Nov 2026 12:00:30", DATE, None),
        ("Mon, 23 Nov 99999 12:00:30 GMT", DATE, None),
    ],
)
def test_retry_after_is_seconds_or_a_moment_on_the_issuers_own_clock(text, date, seconds):
    assert parse_retry_after(text, date) == seconds


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_retry_after_is_read(text, date):
    assert (
        parse_retry_after(text, date) is None or 0 <= (parse_retry_after(text, date) or 0) <= 86_400
    )


def test_without_retry_after_the_issuer_is_left_alone_for_a_second():
    assert [judged(status, b"").until for status in (429, 503)] == [2, 2]
    assert [judged(status, b"", retry_after="9").until for status in (429, 503)] == [10, 10]


@pytest.mark.parametrize(
    "kind", ["key_rejected", "refused", "rate_limited", "unavailable", "key_unreadable"]
)
def test_each_caller_gets_an_error_of_its_own(kind):
    failure = Failure(kind=kind, message="why", until=12.5, error="invalid_scope")
    first, second = build_error(failure, 10.0), build_error(failure, 20.0)
    assert first is not second
    assert type(first) is type(second)
    assert getattr(first, "retry_after", 3) == 3
    assert getattr(second, "retry_after", 1) == 1


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
