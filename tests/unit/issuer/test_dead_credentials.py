"""Dead credentials that are shown again and again count against a limit of the network."""

from __future__ import annotations

import pytest
from tests.factories import Clock

from tokensvc.core.errors import RateLimitedError
from tokensvc.issuer.exchange.dead_credentials import DeadCredentials
from tokensvc.issuer.exchange.late_answers import LateAnswers

DEAD, OTHER = b"d" * 32, b"o" * 32


@pytest.fixture
def clock():
    return Clock(130.5)


@pytest.fixture
def dead(clock):
    made = DeadCredentials(LateAnswers(pause=0, clock=clock), allowed=2, most=2, clock=clock)
    made.note(DEAD)
    return made


async def show(dead, times, digest=DEAD, network="net"):
    for _ in range(times):
        await dead.check(digest, network)


async def test_t39_repeats_beyond_the_limit_are_refused_until_the_next_minute(dead, clock):
    await show(dead, 2)
    with pytest.raises(RateLimitedError) as caught:
        await show(dead, 1)
    error = caught.value
    assert (error.policy, error.limit, error.window) == ("dead-credentials", 2, 60)
    assert error.retry_after == 50
    clock.now = 180.0
    dead.note(DEAD)
    await show(dead, 2)


async def test_t39_other_credentials_and_other_networks_do_not_suffer(dead):
    await show(dead, 2)
    await show(dead, 5, digest=OTHER)
    await show(dead, 2, network="other")


async def test_a_credential_that_lives_again_is_found_to_live(dead, clock):
    await show(dead, 2)
    clock.now += 5
    await show(dead, 1)
    dead.forget(DEAD)
    await show(dead, 5)


async def test_memory_is_bounded_and_the_oldest_is_forgotten(dead):
    dead.note(OTHER)
    dead.note(DEAD)
    dead.note(b"n" * 32)
    await show(dead, 9, digest=OTHER)
    with pytest.raises(RateLimitedError):
        await show(dead, 3)
