"""The guess guard: a network that tries unknown keys is refused, late, and others are not."""

from __future__ import annotations

import asyncio
import time

import pytest

from tokensvc.core.errors import RateLimitedError
from tokensvc.issuer.exchange.guess_guard import GuessGuard

NEW, KNOWN = b"n" * 32, b"k" * 32


class Clock:
    now = 120.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def guard(clock):
    made = GuessGuard(allowed=3, pause=0.01, clock=clock)
    made.note_known(KNOWN)
    for _ in range(3):
        await made.check(NEW, "net")
        made.note_unknown("net")
    return made


async def test_who_has_tried_too_many_unknown_keys_waits_for_the_next_minute(guard, clock):
    clock.now = 130.5
    with pytest.raises(RateLimitedError) as caught:
        await guard.check(NEW, "net")
    error = caught.value
    assert (error.policy, error.limit, error.window) == ("unknown-keys", 3, 60)
    assert error.retry_after == 50
    clock.now = 180.0
    await guard.check(NEW, "net")
    guard.note_unknown("net")
    await guard.check(NEW, "net")


async def test_keys_that_are_known_to_exist_and_other_networks_do_not_suffer(guard):
    await guard.check(KNOWN, "net")
    await guard.check(NEW, "other")


async def test_memory_is_bounded(clock):
    guard = GuessGuard(allowed=1, pause=0, most_known=2, most_networks=2, clock=clock)
    digests = [bytes([number]) * 32 for number in range(10)]
    for digest in digests:
        guard.note_known(digest)
    assert [guard.knows(digest) for digest in digests] == [False] * 6 + [True] * 4
    guard.note_known(digests[9])
    assert guard.knows(digests[6]), "a key that is known already takes no place"

    for network in ("first", "second"):
        guard.note_unknown(network)
        with pytest.raises(RateLimitedError):
            await guard.check(NEW, network)
    guard.note_unknown("third")
    for network in ("first", "second"):
        await guard.check(NEW, network)
    with pytest.raises(RateLimitedError):
        await guard.check(NEW, "third")


async def test_a_refusal_comes_late_but_only_so_many_wait_for_theirs(clock):
    guard = GuessGuard(allowed=1, pause=0.3, most_held=2, clock=clock)
    guard.note_unknown("net")
    ended: list[int] = []

    async def guess(number: int) -> float:
        started = time.monotonic()
        with pytest.raises(RateLimitedError):
            await guard.check(NEW, "net")
        ended.append(number)
        return time.monotonic() - started

    for _ in range(2):  # the second round shows that nobody is held any more
        ended.clear()
        first, second, _ = await asyncio.gather(*(guess(number) for number in range(3)))
        assert ended[0] == 2, "two wait already, so the third is refused at once"
        assert min(first, second) >= 0.3
