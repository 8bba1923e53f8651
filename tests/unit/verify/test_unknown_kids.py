"""Unknown kids: strangers choose them, so they cause few fetches, and hide no new key."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.factories import make_signing_key
from tests.simulator import SimulatedIssuer, SimulatedLoop, reason_of, simulated
from tests.unit.verify.forging import token_of

from tokensvc.core.identifier import Kid
from tokensvc.verify._unknown_kids import UnknownKids

if TYPE_CHECKING:
    from tokensvc.verify import Verifier


@simulated
async def test_a_key_that_was_not_announced_is_found_once_the_cooldown_is_over():
    issuer = SimulatedIssuer()
    async with issuer.make_verifier() as verifier:
        issuer.rotate()
        token, _ = issuer.issue()
        assert reason_of(verifier, token) == "unknown_kid"
        await asyncio.sleep(29)
        assert reason_of(verifier, token) == "unknown_kid"
        await asyncio.sleep(1)
        assert reason_of(verifier, token) == "unknown_kid"
        await asyncio.sleep(0.1)
        assert reason_of(verifier, token) is None


@simulated
async def test_t17_ten_thousand_random_kids_in_ten_seconds_cost_one_fetch_and_no_valid_token():
    issuer = SimulatedIssuer()
    async with issuer.make_verifier(remember=0) as verifier:
        await asyncio.sleep(100)
        asked = len(issuer.jwks_asked_on)
        token, _ = issuer.issue()
        for number in range(10_000):
            assert reason_of(verifier, token_of(f"random{number}")) == "unknown_kid"
            if number % 100 == 0:
                assert reason_of(verifier, token) is None
            await asyncio.sleep(0.001)
        assert len(issuer.jwks_asked_on) - asked == 1


@simulated
async def test_a_lasting_flood_of_random_kids_costs_one_fetch_per_cooldown_and_hides_no_new_key():
    issuer = SimulatedIssuer(max_age=100_000)
    async with issuer.make_verifier() as verifier:
        for number in range(3000):
            reason_of(verifier, token_of(f"random{number}"))
            await asyncio.sleep(0.1)
            assert len(issuer.jwks_asked_on) <= 1 + asyncio.get_running_loop().time() // 30
        assert len(issuer.jwks_asked_on) >= 9
        issuer.rotate()
        token, _ = issuer.issue()
        for number in range(310):
            reason_of(verifier, token)
            reason_of(verifier, token_of(f"more{number}"))
            await asyncio.sleep(0.1)
        assert reason_of(verifier, token) is None


@simulated
async def test_one_unknown_kid_that_is_sent_again_and_again_causes_ever_fewer_fetches():
    issuer = SimulatedIssuer(max_age=100_000)
    async with issuer.make_verifier() as verifier:
        stranger, _, _ = make_signing_key()
        token = issuer.sign({}, key=stranger)
        for _ in range(3600):
            assert reason_of(verifier, token) == "unknown_kid"
            await asyncio.sleep(1)
        assert len(issuer.jwks_asked_on) <= 17


@simulated
async def test_unknown_kids_cause_no_fetch_while_the_issuer_is_away():
    issuer = SimulatedIssuer(max_age=300)
    async with issuer.make_verifier(jwks_cooldown=1, when_stale="accept") as verifier:
        issuer.go_down()
        await asyncio.sleep(240)
        asked, began = len(issuer.jwks_asked_on), asyncio.get_running_loop().time()
        for number in range(6000):
            reason_of(verifier, token_of(f"random{number}"))
            await asyncio.sleep(0.1)
        fetches = len(issuer.jwks_asked_on) - asked
        elapsed = asyncio.get_running_loop().time() - began
        assert 600 / 30 <= fetches <= elapsed / 15 + 6


@simulated
async def test_there_is_one_fetch_at_a_time_however_slow_it_is_and_whoever_asks():
    issuer = SimulatedIssuer(max_age=10)
    issuer.latency = 4.0  # the simulator itself refuses two fetches at once
    async with issuer.make_verifier(jwks_cooldown=0) as verifier:
        for number in range(600):
            reason_of(verifier, token_of(f"random{number}"))
            await asyncio.sleep(0.1)
    assert len(issuer.jwks_asked_on) <= 1 + 65 / 4


def test_an_unknown_kid_after_the_loop_was_closed_is_an_ordinary_refusal():
    async def live_for_a_minute() -> Verifier:
        verifier = SimulatedIssuer().make_verifier()
        await verifier.start()
        await asyncio.sleep(60)
        return verifier

    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        verifier = runner.run(live_for_a_minute())
    assert reason_of(verifier, token_of("unknown")) == "unknown_kid"


# --- what is remembered of unknown kids ----------------------------------------------------------


def test_a_kid_that_turns_up_during_a_fetch_is_not_counted_as_missed_by_it():
    unknown = UnknownKids(cooldown=30)
    assert unknown.is_reason_to_fetch(Kid("before"), 0)
    hoped_for = unknown.begin_fetch(0)
    assert not unknown.is_reason_to_fetch(Kid("during"), 1)
    unknown.end_fetch(hoped_for, {})
    assert unknown.is_reason_to_fetch(Kid("during"), 30)
    assert unknown.is_reason_to_fetch(Kid("before"), 30)
    unknown.end_fetch(unknown.begin_fetch(30), {Kid("during"): 1})
    assert len(unknown) == 1
    assert not unknown.is_reason_to_fetch(Kid("before"), 60)
    assert unknown.is_reason_to_fetch(Kid("before"), 90)
    assert unknown.is_reason_to_fetch(Kid("new"), 60)


def test_a_kid_that_no_token_names_any_more_is_not_put_off_further():
    unknown = UnknownKids(cooldown=30)
    unknown.is_reason_to_fetch(Kid("k"), 0)
    for moment in (0, 30, 60, 90):
        unknown.end_fetch(unknown.begin_fetch(moment), {})
    assert unknown.is_reason_to_fetch(Kid("k"), 120)


def test_only_the_latest_kids_are_remembered_and_a_forgotten_one_does_no_harm():
    unknown = UnknownKids(cooldown=30, most=3)
    unknown.is_reason_to_fetch(Kid("first"), 0)
    hoped_for = unknown.begin_fetch(0)
    for number in range(10):
        unknown.is_reason_to_fetch(Kid(f"k{number}"), 1)
        assert len(unknown) <= 3
    unknown.end_fetch(hoped_for, {})
    assert len(unknown) == 3
