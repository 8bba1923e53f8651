from __future__ import annotations

import asyncio
import time

import pytest

from tokensvc.core.errors import RateLimitedError
from tokensvc.issuer.exchange import guess_guard as guessing
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
    assert (
        caught.value.policy,
        caught.value.limit,
        caught.value.window,
        caught.value.retry_after,
    ) == ("unknown-keys", 3, 60, 50)
    clock.now = 180.0
    await guard.check(NEW, "net")
    guard.note_unknown("net")
    await guard.check(NEW, "net")


async def test_keys_that_are_known_to_exist_and_other_networks_do_not_suffer(guard):
    await guard.check(KNOWN, "net")
    await guard.check(NEW, "other")


def test_memory_is_bounded(guard, monkeypatch):
    monkeypatch.setattr(guessing, "_MOST_KNOWN", 2)
    monkeypatch.setattr(guessing, "_MOST_NETWORKS", 2)
    for number in range(10):
        guard.note_known(bytes([number]) * 32)
        guard.note_unknown(f"net {number}")
    assert len(guard._known) + len(guard._known_before) == 3
    assert [guard._is_known(bytes([number]) * 32) for number in range(10)] == [False] * 7 + [
        True
    ] * 3
    assert len(guard._unknown) <= 2
    guard.note_known(bytes([9]) * 32)
    assert len(guard._known) == 1


async def test_a_refusal_comes_late_and_only_so_many_are_held(guard, monkeypatch):
    guard._pause = 0.3
    monkeypatch.setattr(guessing, "_MOST_HELD", 2)
    started = time.monotonic()
    ended = {}

    async def guess(number):
        with pytest.raises(RateLimitedError):
            await guard.check(NEW, "net")
        ended[number] = time.monotonic() - started

    await asyncio.gather(*(guess(number) for number in range(3)))
    assert list(ended)[0] == 2, "two were held already"
    assert min(ended[0], ended[1]) >= 0.3
    assert guard._held == 0
