"""About how many tokens were issued in a part of the last hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tokensvc.core.issued_tokens import IssuedTokens
from tokensvc.core.usage import HourOfUse

EIGHT = datetime(2026, 11, 26, 8, tzinfo=UTC)


def at(minutes):
    return EIGHT + timedelta(minutes=minutes)


def hour(begins, count, outcome="issued"):
    return HourOfUse(hour=begins, outcome=outcome, count=count)


def test_an_hour_is_taken_to_be_spread_evenly():
    issued = IssuedTokens([hour(EIGHT, 600)], since=at(0), until=at(60))
    assert issued.count(at(0), None) == 600
    assert issued.count(at(45), None) == 150
    assert issued.count(at(-999), at(6)) == 60


def test_the_hour_that_runs_is_not_over():
    issued = IssuedTokens([hour(EIGHT, 100)], since=at(0), until=at(10))
    assert issued.count(at(0), None) == 100
    assert issued.count(at(5), at(999)) == 50


def test_what_was_issued_before_is_not_counted_and_refusals_never_are():
    hours = [hour(EIGHT, 600), hour(EIGHT, 9999, "wrong_scope"), hour(at(60), 60)]
    issued = IssuedTokens(hours, since=at(50), until=at(120))
    assert issued.count(at(0), None) == 160
    assert issued.count(at(120), None) == 0
    assert issued.count(at(60), at(50)) == 0
