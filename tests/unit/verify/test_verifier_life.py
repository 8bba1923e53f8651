"""How a verifier lives: started, stopped, started again, and after a fault, in simulated time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.factories import make_signing_key
from tests.simulator import SimulatedIssuer, reason_of, simulated

if TYPE_CHECKING:
    from tokensvc.verify import Verifier


@simulated
async def test_a_started_verifier_is_ready_and_verifies():
    issuer = SimulatedIssuer()
    async with issuer.make_verifier() as verifier:
        token, claims = issuer.issue()
        assert verifier.verify(token) == verifier.verify(token) == claims
        status = verifier.status()
        assert (status.ready, status.kids) == (True, (issuer.signer.kid,))
        assert (status.jwks_age, status.jwks_error) == (0.0, None)
        assert issuer.is_open
    assert not issuer.is_open


@simulated
async def test_a_verifier_that_was_never_started_can_be_closed_and_says_what_is_wrong():
    issuer = SimulatedIssuer()
    verifier = issuer.make_verifier()
    token, _ = issuer.issue()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="the verifier was never started: use it with"):
            verifier.verify(token)
        assert verifier.status().jwks_age == float("inf")
        await verifier.close()


@simulated
async def test_a_verifier_that_is_closed_goes_on_while_it_is_fresh_and_then_says_what_is_wrong():
    issuer = SimulatedIssuer()
    async with issuer.make_verifier() as verifier:
        token, _ = issuer.issue()
    await asyncio.sleep(59)
    verifier.verify(token)
    await asyncio.sleep(2)
    with pytest.raises(RuntimeError, match="the verifier is closed"):
        verifier.verify(token)


@simulated
async def test_keys_without_a_denylist_are_not_enough():
    issuer = SimulatedIssuer()
    verifier = issuer.make_verifier()
    verifier.take(jwks=issuer.answer_jwks())
    assert reason_of(verifier, issuer.issue()[0]) == "no_denylist"
    assert not verifier.status().ready


@simulated
async def test_a_start_without_the_issuer_returns_and_the_verifier_is_ready_once_it_is_back():
    issuer = SimulatedIssuer()
    issuer.down = True
    loop = asyncio.get_running_loop()
    async with issuer.make_verifier() as verifier:
        assert loop.time() == pytest.approx(5)
        assert reason_of(verifier, issuer.issue()[0]) == "no_keys"
        assert verifier.status().jwks_error == "the issuer cannot be reached: simulated"
        issuer.down = False
        await asyncio.sleep(8)
        assert reason_of(verifier, issuer.issue()[0]) is None


@simulated
async def test_a_rotation_causes_no_refusal():
    issuer = SimulatedIssuer()
    async with issuer.make_verifier() as verifier:
        before, _ = issuer.issue()
        old = issuer.signer
        standby, _, jwk = make_signing_key()
        issuer.published.append(jwk)
        await asyncio.sleep(300)
        issuer.keys.append(standby)
        after, _ = issuer.issue()
        assert (reason_of(verifier, before), reason_of(verifier, after)) == (None, None)
        issuer.withdraw(old.kid)
        await asyncio.sleep(270)  # the token would live another half minute
        assert reason_of(verifier, before) == "unknown_kid"
        assert reason_of(verifier, after) is None


@simulated
async def test_a_verifier_is_started_once():
    issuer = SimulatedIssuer()
    async with issuer.make_verifier() as verifier:
        with pytest.raises(RuntimeError, match="started already"):
            await verifier.start()


def test_a_verifier_may_be_started_again_in_another_loop(caplog):
    made: list[Verifier] = []

    @simulated
    async def make() -> None:
        issuer = SimulatedIssuer()
        issuer.down = True
        made.append(issuer.make_verifier())

    @simulated
    async def live() -> None:
        async with made[0]:
            await asyncio.sleep(100)

    make()
    live()
    live()
    assert "has stopped following" not in caplog.text


@simulated
async def test_a_start_that_is_cancelled_leaves_nothing_behind():
    issuer = SimulatedIssuer()
    issuer.down = True
    verifier = issuer.make_verifier()
    starting = asyncio.create_task(verifier.start())
    await asyncio.sleep(1)
    was_open = issuer.is_open
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert (was_open, issuer.is_open) == (True, False)
    assert len(asyncio.all_tasks()) == 1


def break_down(_after: str | None) -> str:
    raise AssertionError("a fault of our own")


@simulated
async def test_a_verifier_that_stops_following_after_a_fault_says_so_and_refuses_once_it_is_stale(
    caplog,
):
    issuer = SimulatedIssuer()
    async with issuer.make_verifier() as verifier:
        issuer.page_lie = break_down
        issuer.wake()
        await asyncio.sleep(1)
        assert "the verifier has stopped following the issuer" in caplog.text
        token, _ = issuer.issue()
        assert reason_of(verifier, token) is None
        await asyncio.sleep(60)
        assert reason_of(verifier, token) == "denylist_stale"
