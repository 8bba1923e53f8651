"""The line of a request is put together by hand, and is JSON all the same."""

from __future__ import annotations

import pytest

from tokensvc.logs.request_line import log_request


def log(method="POST", status=200, facts=None, *, quiet=False):
    log_request("id-1", method, "/v1/token", status, 0.00123, facts or {}, quiet=quiet)


def test_it_says_who_asked_what_and_how_it_ended(logs):
    log(facts={"jti": "a", "active": True, "id": None, "count": 2})
    (line,) = logs.lines
    assert list(line)[:3] == ["timestamp", "level", "event"]
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "info",
        "event": "request",
        "request_id": "id-1",
        "method": "POST",
        "route": "/v1/token",
        "status": 200,
        "milliseconds": 1.23,
        "jti": "a",
        "active": True,
        "id": None,
        "count": 2,
    }


@pytest.mark.parametrize("text", ['"', "\\", "\n", "\x00", "ü", "\u2028"])
def test_t35_no_fact_breaks_the_line(text, logs):
    log(facts={"reason": text})
    assert [line["reason"] for line in logs.lines] == [text]


def test_a_method_that_the_client_made_up_is_not_repeated(logs):
    log(method="EVIL")
    assert [line["method"] for line in logs.lines] == ["OTHER"]


def test_a_quiet_request_is_written_only_at_debug(logs):
    log(quiet=True)
    assert [line["level"] for line in logs.lines] == ["debug"]
