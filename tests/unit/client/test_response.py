"""What the issuer's response to an exchange means."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.client.loopback import KEY

from tokensvc.client._failure import Failure, build_error
from tokensvc.client._plan import HeldToken
from tokensvc.client._response import ExchangeResponse, judge, parse_retry_after
from tokensvc.core.api_key import ApiKey

GOOD = {"access_token": "a.b.c", "token_type": "Bearer", "expires_in": 600}
DATE = "Mon, 23 Nov 2026 12:00:00 GMT"


def judged(status=200, body=None, **headers):
    text = (
        json.dumps(GOOD if body is None else body).encode() if not isinstance(body, bytes) else body
    )
    values = {"retry_after": None, "date": None, "sent_on": 0.0, "came_on": 1.0} | headers
    return judge(ExchangeResponse(status=status, body=text, **values), key=ApiKey(KEY), chance=0.5)


@pytest.mark.parametrize(
    "change", [{}, {"token_type": "bearer"}, {"scope": "a"}, {"expires_in": 600.0}]
)
def test_a_good_token_is_accepted(change):
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
def test_a_response_without_a_usable_token_means_that_the_issuer_is_unavailable(change):
    assert judged(body=GOOD | change).kind == "unavailable"


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"\xff", b"[" * 60_000, b"<html>"])
@pytest.mark.parametrize("status", [200, 302, 400, 401, 404, 408, 429, 500, 503])
def test_any_body_with_any_status_has_a_meaning(status, body):
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


def test_a_text_of_the_issuer_is_shown_in_one_printable_line():
    failure = judged(
        400, {"error": "invalid_scope", "error_description": "no\x1b[31m such\nscope" + "x" * 500}
    )
    assert failure.message.startswith("no?[31m such?scopexx")
    assert len(failure.message) == 200
    assert judged(400, {"error": "invalid_target"}).message == "invalid_target"
    assert judged(429, {}).message == "a limit of the issuer is used up"


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


def test_without_retry_after_the_issuer_is_not_asked_for_one_second():
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
