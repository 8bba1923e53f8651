"""A network that is refused again and again waits for its refusals."""

from __future__ import annotations

from typing import Any

import pytest
from tests.factories import Clock

from tokensvc.web.late_refusals import LateRefusals

ALLOWED = 3


class FakeLateAnswers:
    """Notes since when answers are held."""

    def __init__(self):
        self.held = []

    def hold(self, asked_on):
        self.held.append(asked_on)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def late_answers():
    return FakeLateAnswers()


@pytest.fixture
def silent_answers():
    return FakeLateAnswers()


@pytest.fixture
def refusals(clock, late_answers, silent_answers):
    held: Any = late_answers
    silent: Any = silent_answers
    return LateRefusals(allowed=ALLOWED, late_answers=held, silent_answers=silent, clock=clock)


def refuse(refusals, times, network="net"):
    for _ in range(times):
        refusals.hold(network, 119.5, is_silent=False, is_late=False)


def test_t40_a_network_that_is_refused_often_waits_for_its_refusals(refusals, late_answers, logs):
    refuse(refusals, ALLOWED - 1)
    assert late_answers.held == []
    refuse(refusals, 3)
    assert late_answers.held == [119.5] * 3, "it counts from the moment of the request"
    (line,) = logs.find("network_refused_often")
    assert (line["network"], line["refused"]) == ("net", ALLOWED)


def test_t40_what_must_be_late_is_so_from_the_first_one_on(refusals, late_answers, silent_answers):
    refusals.hold("net", 119.5, is_silent=True, is_late=True)
    assert (late_answers.held, silent_answers.held) == ([119.5], [])


def test_t40_other_networks_do_not_wait(refusals, late_answers):
    refuse(refusals, ALLOWED)
    late_answers.held.clear()
    refuse(refusals, 1, "other")
    assert late_answers.held == []


def test_t40_many_networks_together_wait_as_well(refusals, late_answers):
    for number in range(10):
        refuse(refusals, ALLOWED - 1, f"net{number}")
    assert late_answers.held == []
    for number in range(10):
        refuse(refusals, 1, f"other{number}")
    assert len(late_answers.held) == 1
    refuse(refusals, 1, "another")
    assert len(late_answers.held) == 2


def test_t40_a_network_waits_no_more_two_minutes_later(refusals, late_answers, clock):
    refuse(refusals, ALLOWED)
    late_answers.held.clear()
    clock.now += 60
    refuse(refusals, 1)
    assert len(late_answers.held) == 1
    clock.now += 120
    refuse(refusals, 1)
    assert len(late_answers.held) == 1


def test_t20_a_refusal_that_gives_no_reason_comes_at_a_fixed_moment(
    refusals, late_answers, silent_answers
):
    refuse(refusals, 1)
    assert silent_answers.held == []
    refusals.hold("net", 119.5, is_silent=True, is_late=False)
    assert silent_answers.held == [119.5], "it counts from the moment of the request"
    refusals.hold("net", 119.6, is_silent=True, is_late=False)
    assert (silent_answers.held, late_answers.held) == ([119.5], [119.6]), "and waits only once"
