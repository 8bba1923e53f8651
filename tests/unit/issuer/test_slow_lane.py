"""The slow lane: many keys are looked up at once, and only so many may wait."""

from __future__ import annotations

import asyncio
import time

import pytest

from tokensvc.core.errors import UnavailableError
from tokensvc.issuer.exchange.slow_lane import SlowLane

DIGESTS = [bytes([number]) * 32 for number in range(10)]


class Keys:
    """Half of the digests exist; `asked` has each question, `errors` fail the next ones."""

    def __init__(self):
        self.asked = []
        self.errors = []

    async def find_existing(self, digests):
        self.asked.append(sorted(digests))
        if self.errors:
            raise self.errors.pop()
        return set(digests) & set(DIGESTS[:5])


@pytest.fixture
def keys():
    return Keys()


async def test_all_who_wait_are_asked_about_at_once_and_get_their_own_answer(keys):
    lane = SlowLane(keys.find_existing)
    answers = await asyncio.gather(*(lane.exists(digest) for digest in [*DIGESTS, *DIGESTS]))
    assert answers == ([True] * 5 + [False] * 5) * 2
    assert keys.asked == [DIGESTS]


async def test_a_batch_is_bounded_and_the_first_come_first(keys):
    lane = SlowLane(keys.find_existing, at_once=4)
    await asyncio.gather(*(lane.exists(digest) for digest in DIGESTS))
    assert keys.asked == [DIGESTS[:4], DIGESTS[4:8], DIGESTS[8:]]


async def test_t38_who_finds_the_queue_full_gets_503_and_the_others_their_answer(keys):
    lane = SlowLane(keys.find_existing, most_waiting=2)
    answers = await asyncio.gather(
        *(lane.exists(digest) for digest in DIGESTS[:3]), return_exceptions=True
    )
    assert answers[:2] == [True, True]
    assert isinstance(answers[2], UnavailableError)
    assert (answers[2].reason, answers[2].retry_after) == ("slow_lane_full", 1)
    assert await lane.exists(DIGESTS[2])


async def test_a_question_without_an_answer_is_asked_again(keys):
    keys.errors = [UnavailableError("away")]
    assert await SlowLane(keys.find_existing).exists(DIGESTS[0])
    assert len(keys.asked) == 2


@pytest.mark.parametrize("errors", [[UnavailableError("away")] * 2, [RuntimeError("a fault")]])
async def test_a_question_that_fails_fails_its_own_requests_only(keys, errors):
    lane = SlowLane(keys.find_existing)
    keys.errors = list(errors)
    failed = await asyncio.gather(*map(lane.exists, DIGESTS[:2]), return_exceptions=True)
    assert [type(answer) for answer in failed] == [UnavailableError] * 2
    assert failed[0] is not failed[1]
    assert await lane.exists(DIGESTS[0])


async def test_f9_who_waits_for_too_long_is_answered_without_a_decision(keys):
    lane = SlowLane(keys.find_existing, tick=60, longest_seconds=60)
    with pytest.raises(UnavailableError) as caught:
        await lane.exists(DIGESTS[0], time.monotonic() - 60)
    assert caught.value.reason == "slow_lane_late"
    await lane.close()


async def test_who_waits_at_the_end_is_told_so(keys):
    lane = SlowLane(keys.find_existing, tick=60)
    waiting = asyncio.create_task(lane.exists(DIGESTS[0]))
    await asyncio.sleep(0)
    await lane.close()
    with pytest.raises(UnavailableError) as caught:
        await waiting
    assert caught.value.reason == "stopping"
    await lane.close()
