"""The pure rules: when a token is used, refreshed and waited for; what an exchange does next."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.client.loopback import KEY, OTHER_KEY

from tokensvc.client.answer import Answer, NoAnswer
from tokensvc.client.errors import Failure
from tokensvc.client.flow import Ask, Patience, ReadKey, Reply, Wait, plan_pause, run_exchange
from tokensvc.client.plan import (
    HeldToken,
    Slot,
    build_held_token,
    drop_token,
    plan_use,
    put_outcome,
)
from tokensvc.core.api_key import ApiKey

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
def test_nobody_is_given_an_expired_token_or_waits_beyond_the_end_of_a_good_one(slot, now):
    plan = plan_use(slot, now)
    if plan.token is not None:
        assert now < plan.token.ends_on
        assert 0 <= plan.wait <= plan.token.ends_on - now
        assert plan.wait == 0 or now >= plan.token.wait_on
    else:
        assert slot.token is None or now >= slot.token.ends_on
        assert plan.refresh or plan.failure is not None


@given(slots, moments)
def test_nobody_asks_while_a_failure_of_the_issuer_says_when_to_ask_again(slot, now):
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


@given(st.integers(1, 10), moments, st.floats(0, 1e5), st.floats(0, 100), chances)
def test_a_pause_is_never_shorter_than_asked_for_nor_beyond_the_deadline(
    tries, now, asked_for, patience, chance
):
    failure = Failure(kind="unavailable", message="x", until=now + asked_for)
    pause = plan_pause(failure, tries=tries, now=now, deadline=now + patience, chance=chance)
    if pause is not None:
        assert tries < 4
        assert max(0.0, failure.until - now) <= pause <= failure.until - now + 2
        assert now + pause < now + patience


@st.composite
def answers(draw):
    status = draw(st.sampled_from([200, 400, 401, 429, 500, 503, None]))
    retry_after = draw(st.none() | st.integers(0, 40).map(str))
    return status, retry_after, draw(st.floats(0, 10))


@given(st.lists(answers(), min_size=40, max_size=40), st.booleans(), chances)
def test_every_exchange_ends_within_its_patience_and_few_tries(script, rotates, chance):
    """Performs the steps on a clock of its own, with answers of every kind."""
    now, asked, read, waited = 0.0, 0, 0, 0.0
    flow = run_exchange(
        patience=Patience(timeout=10, total=30),
        started_on=now,
        rejected=None,
        chance=lambda: chance,
    )
    reply: Reply = None
    while True:
        try:
            step = flow.send(reply)
        except StopIteration as stop:
            outcome = stop.value
            break
        match step:
            case ReadKey():
                read += 1
                reply = ApiKey(OTHER_KEY if rotates and read > 1 else KEY)
            case Ask(seconds=seconds):
                assert 0 < seconds <= 10
                status, retry_after, took = script[asked]
                asked += 1
                sent_on, now = now, now + min(took, seconds)
                if status is None:
                    reply = NoAnswer(trouble="TimeoutError", came_on=now)
                else:
                    body = b'{"access_token": "t", "token_type": "Bearer", "expires_in": 600}'
                    reply = Answer(
                        status=status,
                        retry_after=retry_after,
                        date=None,
                        body=body,
                        sent_on=sent_on,
                        came_on=now,
                    )
            case Wait(seconds=seconds):
                waited += seconds
                now += seconds
                reply = None
    assert isinstance(outcome, HeldToken | Failure)
    assert asked <= 5
    assert read <= 2
    assert now <= 30 + 1e-6
    assert waited < 30


def test_a_slot_that_knows_nothing_wants_a_token_and_waits_for_it():
    plan = plan_use(Slot(), 0)
    assert (plan.refresh, plan.wait) == (True, math.inf)
