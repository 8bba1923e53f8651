from __future__ import annotations

import pytest

from tokensvc.core.errors import RateLimitedError
from tokensvc.issuer import guessing
from tokensvc.issuer.guessing import GuessGuard

NEW, KNOWN = b"n" * 32, b"k" * 32


class Clock:
    now = 120.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def guard(clock):
    made = GuessGuard(allowed=3, clock=clock)
    made.note_known(KNOWN)
    for _ in range(3):
        made.check(NEW, "net")
        made.note_unknown("net")
    return made


def test_who_has_tried_too_many_unknown_keys_waits_for_the_next_minute(guard, clock):
    clock.now = 130.5
    with pytest.raises(RateLimitedError) as caught:
        guard.check(NEW, "net")
    assert (caught.value.policy, caught.value.limit, caught.value.window, caught.value.retry_after) == ("unknown-keys", 3, 60, 50)
    clock.now = 180.0
    guard.check(NEW, "net")
    guard.note_unknown("net")
    guard.check(NEW, "net")


def test_keys_that_are_known_to_exist_and_other_networks_do_not_suffer(guard):
    guard.check(KNOWN, "net")
    guard.check(NEW, "other")


def test_memory_is_bounded(guard, monkeypatch):
    monkeypatch.setattr(guessing, "_MOST_KNOWN", 2)
    monkeypatch.setattr(guessing, "_MOST_NETWORKS", 2)
    for number in range(10):
        guard.note_known(bytes([number]) * 32)
        guard.note_unknown(f"net {number}")
    assert len(guard._known) == 2
    assert len(guard._unknown) <= 2
    guard.note_known(bytes([9]) * 32)
    assert len(guard._known) == 2
