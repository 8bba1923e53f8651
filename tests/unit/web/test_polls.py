"""How many polls are held back, and what is said of those that are not."""

from __future__ import annotations

from contextlib import ExitStack

from tokensvc.web.limit_log import LimitLog
from tokensvc.web.polls import Polls


def test_t40_polls_are_limited_for_a_network_and_in_all(logs):
    polls = Polls(LimitLog(), most=3, most_of_network=2)
    with ExitStack() as held:
        assert [held.enter_context(polls.hold("a", 30)) for _ in range(3)] == [30, 30, 1]
        # Those that are only paused are limited too.
        assert [held.enter_context(polls.hold("b", 30)) for _ in range(3)] == [30, 1, 0]
        assert (polls.held, polls.paused) == (3, 2)
    with polls.hold("a", 30) as again, polls.hold("b", 0.5) as too:
        assert (again, too) == (30, 0.5)
    assert (polls.held, polls.paused) == (0, 0)
    noted = [line["limit"] for line in logs.find("connections_limited")]
    assert noted == ["polls_of_network", "polls"]


def test_a_limit_is_logged_once_a_minute_with_how_often_it_was_reached(logs):
    now = 0.0
    limited = LimitLog(clock=lambda: now)
    for now in (0.0, 1.0, 59.0, 60.0):  # noqa: B007 - the clock reads it
        limited.note("polls")
    limited.note("connections")
    lines = logs.find("connections_limited")
    assert [(line["limit"], line["times"]) for line in lines] == [
        ("polls", 1),
        ("polls", 3),
        ("connections", 1),
    ]
