"""When a denylist is stale, what a verifier does then, and how often it asks the issuer."""

from __future__ import annotations

import asyncio

import pytest
from tests.simulator import SimulatedIssuer, reason_of, simulated


@pytest.mark.parametrize(("when_stale", "after"), [("reject", "denylist_stale"), ("accept", None)])
@simulated
async def test_f20_t14_a_verifier_that_is_cut_off_does_what_when_stale_says_after_max_staleness(
    when_stale, after
):
    issuer = SimulatedIssuer()
    async with issuer.make_verifier(when_stale=when_stale) as verifier:
        await asyncio.sleep(100)
        issuer.go_down()
        age = verifier.status().denylist_age
        await asyncio.sleep(59.9 - age)
        token, _ = issuer.issue()
        assert reason_of(verifier, token) is None
        assert verifier.status().denylist_age == pytest.approx(59.9)
        await asyncio.sleep(0.2)
        assert reason_of(verifier, token) == after
        assert verifier.status().ready is (after is None)
        assert verifier.status().denylist_error == "the issuer cannot be reached: simulated"
        await asyncio.sleep(60)
        issuer.down = False
        await asyncio.sleep(61)
        assert reason_of(verifier, token) is None


@simulated
async def test_a_feed_that_is_back_without_news_is_fresh_at_its_first_answer():
    issuer = SimulatedIssuer()
    async with issuer.make_verifier() as verifier:
        issuer.go_down()
        await asyncio.sleep(100)
        issuer.down = False
        asked = len(issuer.pages_asked)
        while len(issuer.pages_asked) == asked:
            await asyncio.sleep(0.1)
        await asyncio.sleep(2)
        assert verifier.status().ready


@simulated
async def test_a_stale_verifier_that_accepts_still_refuses_what_it_knows():
    issuer = SimulatedIssuer()
    async with issuer.make_verifier(when_stale="accept") as verifier:
        token, claims = issuer.issue()
        issuer.add_revocation("jti", claims.jti)
        await asyncio.sleep(1)
        issuer.go_down()
        await asyncio.sleep(500)
        assert reason_of(verifier, token) == "revoked_jti"


@simulated
async def test_an_issuer_that_is_away_is_asked_every_one_to_two_seconds_so_that_recovery_is_quick():
    issuer = SimulatedIssuer()
    async with issuer.make_verifier():
        await asyncio.sleep(1)
        issuer.go_down()
        await asyncio.sleep(0)
        asked = len(issuer.pages_asked)
        await asyncio.sleep(600)
        assert 600 / 2 <= len(issuer.pages_asked) - asked <= 600 + 3


@simulated
async def test_a_feed_without_news_is_not_stale():
    issuer = SimulatedIssuer()
    async with issuer.make_verifier() as verifier:
        for _ in range(300):
            await asyncio.sleep(1)
            assert verifier.status().denylist_age <= 30.1
        assert len(issuer.pages_asked) <= 13


@simulated
async def test_an_issuer_that_does_not_wait_is_not_asked_in_a_tight_loop():
    issuer = SimulatedIssuer()
    async with issuer.make_verifier():
        issuer.waits = False
        issuer.wake()
        for _ in range(1000):
            await asyncio.sleep(0)
    assert len(issuer.pages_asked) < 20
