"""When a token is used, refreshed and waited for."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokensvc.client._failure import Failure
from tokensvc.client._plan import Slot, build_held_token, drop_token, plan_use, put_outcome

lives = st.floats(0.5, 10 * 86_400)
moments = st.floats(-1e6, 1e6)
chances = st.floats(0, 1)
kinds = st.sampled_from(
    ["key_rejected", "key_unreadable", "refused", "rate_limited", "unavailable"]
)
failures = st.builds(Failure, kind=kinds, message=st.just("x"), until=moments)
tokens = st.builds(
    lambda life, sent_on, chance: build_held_token(
        "t", expires_in=life, sent_on=sent_on, chance=chance
    ),
    lives,
    moments,
    chances,
)
slots = st.builds(Slot, token=st.none() | tokens, failure=st.none() | failures)


@given(lives, moments, chances)
def test_the_moments_of_a_token_come_in_order(life, sent_on, chance):
    token = build_held_token("t", expires_in=life, sent_on=sent_on, chance=chance)
    assert sent_on < token.refresh_on < token.wait_on < token.ends_on
    assert token.ends_on == sent_on + life


@given(st.floats(165, 10 * 86_400), chances)
def test_a_refresh_falls_at_80_percent_of_the_life_give_or_take_a_tenth_of_that(life, chance):
    token = build_held_token("t", expires_in=life, sent_on=0, chance=chance)
    assert 0.72 * life <= token.refresh_on * (1 + 1e-9)
    assert token.refresh_on <= 0.88 * life * (1 + 1e-9)


@pytest.mark.parametrize(
    ("life", "early", "middle", "late", "wait_on"),
    [
        (600, 432, 480, 528, 585),
        (3600, 2592, 2880, 3168, 3585),
        (60, 35.64, 39.6, 43.56, 45),
        (20, 7.92, 8.8, 9.68, 10),
    ],
)
def test_the_moments_of_usual_tokens(life, early, middle, late, wait_on):
    made = [
        build_held_token("t", expires_in=life, sent_on=0, chance=chance) for chance in (0, 0.5, 1)
    ]
    assert [token.refresh_on for token in made] == pytest.approx([early, middle, late])
    assert {token.wait_on for token in made} == {wait_on}


@given(slots, moments)
def test_no_caller_gets_an_expired_token_or_waits_beyond_the_end_of_a_good_one(slot, now):
    plan = plan_use(slot, now)
    if plan.token is not None:
        assert now < plan.token.ends_on
        assert 0 <= plan.wait <= plan.token.ends_on - now
        assert plan.wait == 0 or now >= plan.token.wait_on
    else:
        assert slot.token is None or now >= slot.token.ends_on
        assert plan.refresh or plan.failure is not None


@given(slots, moments)
def test_the_issuer_is_not_asked_while_its_failure_says_when_to_ask_again(slot, now):
    if (
        slot.failure is not None
        and now < slot.failure.until
        and slot.failure.kind in {"rate_limited", "unavailable", "refused"}
    ):
        assert not plan_use(slot, now).refresh


@given(slots, failures, moments)
def test_a_failure_never_takes_a_token_away(slot, failure, now):
    assert plan_use(put_outcome(slot, failure), now).token == plan_use(slot, now).token


@given(tokens, failures, st.floats(0, 0.7))
def test_a_new_token_ends_a_failure(token, failure, part):
    slot = put_outcome(Slot(failure=failure), token)
    now = token.refresh_on - (1 - part) * 1e-3
    plan = plan_use(slot, now)
    assert (plan.refresh, plan.wait, plan.token, plan.failure) == (False, 0, token, None)


@given(tokens, moments, st.floats(0, 100))
def test_only_the_refused_token_is_dropped_and_one_every_few_seconds(token, now, later):
    slot = Slot(token=token)
    assert drop_token(slot, "another", now) == (slot, True)
    dropped, is_worth_repeating = drop_token(slot, token.text, now)
    assert (dropped.token, is_worth_repeating) == (None, True)
    again, is_worth_repeating = drop_token(put_outcome(dropped, token), token.text, now + later)
    assert is_worth_repeating == (now + later >= now + 5)
    assert (again.token is None) == is_worth_repeating


def test_an_empty_slot_means_to_ask_the_issuer_and_to_wait():
    plan = plan_use(Slot(), 0)
    assert (plan.refresh, plan.wait) == (True, math.inf)
