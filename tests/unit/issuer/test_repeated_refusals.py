"""A question that is refused many times a second is not put to Postgres each time."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from tests.factories import Clock

from tokensvc.core.errors import InvalidClientError, InvalidScopeError, RateLimitedError
from tokensvc.core.ledger import Decision, Question
from tokensvc.issuer.exchange.repeated_refusals import RepeatedRefusals

OFTEN = 3
QUESTION = Question(b"digest", None, None, counts=True)
OTHER = Question(b"digest", None, '{"scope": "a:b"}', counts=True)
NOT_GRANTED = InvalidScopeError("not yours")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def refusals(clock):
    return RepeatedRefusals(often=OFTEN, most=2, clock=clock)


class Said(NamedTuple):
    """What matters here of a verdict."""

    text: str = "no"
    refusal: str | None = None
    capabilities: tuple[str, ...] = ()
    audiences: tuple[str, ...] | None = None


SAID = Said()


def decision(said=SAID):
    verdict: Any = said
    return Decision(verdict, admitted=False)


def over_limit(retry_after):
    return RateLimitedError("over", policy="p", limit=1, window=60, retry_after=retry_after)


def note(refusals, times, error=NOT_GRANTED, question=QUESTION, said=SAID):
    for _ in range(times):
        refusals.note(question, decision(said), error)


@pytest.mark.parametrize("error", [NOT_GRANTED, over_limit(5)])
def test_t40_a_question_is_refused_from_memory_for_the_rest_of_a_second(refusals, clock, error):
    note(refusals, OFTEN - 1, error)
    assert refusals.find(QUESTION, None) is None
    note(refusals, 1, error, said=Said("the last word"))
    assert refusals.find(QUESTION, None) == decision(Said("the last word"))
    assert refusals.find(OTHER, None) is None
    clock.now += 0.99
    assert refusals.find(QUESTION, None) is not None
    clock.now += 0.01
    assert refusals.find(QUESTION, None) is None


def test_a_second_begins_with_its_first_refusal(refusals, clock):
    note(refusals, 1)
    clock.now += 0.9
    note(refusals, OFTEN - 1)
    assert refusals.find(QUESTION, None) is not None
    clock.now += 0.1
    note(refusals, OFTEN - 1)
    assert refusals.find(QUESTION, None) is None, "it counts anew"


def test_t34_a_window_of_a_limit_that_ends_within_the_second_is_not_missed(refusals):
    for late in (1, 4):  # Postgres's answer may itself have come seconds late
        note(refusals, 5 * OFTEN, over_limit(late))
    assert refusals.find(QUESTION, None) is None


def test_t20_what_refuses_a_credential_is_never_remembered(refusals):
    note(refusals, 5 * OFTEN, InvalidClientError("revoked"))
    assert refusals.find(QUESTION, None) is None


def test_only_so_many_questions_are_remembered(refusals):
    note(refusals, OFTEN)
    note(refusals, 1, question=OTHER)
    assert refusals.find(QUESTION, None) is not None
    note(refusals, 1, question=OTHER._replace(demand="third"))
    assert refusals.find(QUESTION, None) is None


def test_t40_scopes_that_a_key_lacks_are_refused_alike_and_others_are_not(refusals):
    said = Said(refusal="invalid_scope", capabilities=("a:b", "c:d"))
    for number in range(OFTEN):
        note(refusals, 1, question=OTHER._replace(demand=f"x:{number}"), said=said)
    wanted = OTHER._replace(demand="another")
    assert refusals.find(wanted, frozenset({"x:y", "a:b"})) == decision(said)
    assert refusals.find(wanted, frozenset({"a:b"})) is None
    assert refusals.find(wanted, None) is None
    assert refusals.find(wanted._replace(digest=b"other"), frozenset({"x:y"})) is None


def test_t20_a_restricted_key_is_refused_for_its_networks_before_its_scope(refusals):
    said = Said(refusal="invalid_scope", capabilities=("a:b",), audiences=("api",))
    note(refusals, OFTEN, question=OTHER, said=said)
    elsewhere = OTHER._replace(demand="the same from another network")
    assert refusals.find(elsewhere, frozenset({"x:y"})) is None
    assert refusals.find(OTHER, frozenset({"x:y"})) == decision(said)
