"""Late answers: each comes when its time is over, and never all at once."""

from __future__ import annotations

import asyncio
import time

import pytest

from tokensvc.core.errors import UnavailableError
from tokensvc.issuer.exchange.late_answers import LateAnswers


async def answer(late_answers, asked_on):
    await late_answers.hold(asked_on)
    return time.monotonic() - asked_on


async def test_answers_to_one_question_come_together_whenever_they_were_found_out():
    """The pause is counted from the question, so what was done meanwhile cannot be told."""
    late_answers, asked_on, came = LateAnswers(pause=0.1), time.monotonic(), []

    async def find_out(seconds):
        await asyncio.sleep(seconds)
        await late_answers.hold(asked_on)
        came.append(time.monotonic() - asked_on)

    await asyncio.gather(*map(find_out, (0, 0.02, 0.05)))
    assert min(came) >= 0.1
    assert max(came) - min(came) < 0.02
    assert await answer(late_answers, asked_on) >= 0.1, "its time is over already"


async def test_t40_clients_that_ask_at_once_are_answered_one_after_the_other():
    late_answers, now = LateAnswers(pause=0.02, spread=0.2), time.monotonic()
    took = await asyncio.gather(*(answer(late_answers, now) for _ in range(100)))
    assert 0.02 <= min(took) < 0.1
    assert max(took) - min(took) > 0.1


async def test_a_client_that_has_gone_keeps_no_place():
    late_answers = LateAnswers(pause=0.05, most_held=1)
    first = asyncio.create_task(late_answers.hold(time.monotonic()))
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError) as caught:
        await late_answers.hold(time.monotonic())
    assert caught.value.reason == "late_answers_full"
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await late_answers.hold(time.monotonic())


async def test_t40_others_get_a_look_in_between_answers_that_come_together():
    late_answers, asked_on = LateAnswers(pause=0.05), time.monotonic()
    came: list[None] = []

    async def hold():
        await late_answers.hold(asked_on)
        came.append(None)

    tasks = [asyncio.create_task(hold()) for _ in range(50)]
    longest = 0
    while len(came) < len(tasks):
        before = len(came)
        await asyncio.sleep(0)
        longest = max(longest, len(came) - before)
    assert longest <= 8
    await asyncio.gather(*tasks)


async def test_t40_answers_come_later_while_the_process_is_behind():
    late_answers = LateAnswers(pause=0.02, stretch=20)
    first = asyncio.create_task(answer(late_answers, time.monotonic()))
    other = asyncio.create_task(late_answers.hold(time.monotonic() + 60))
    await asyncio.sleep(0)
    time.sleep(0.05)  # this holds it up
    await first
    took = await asyncio.gather(*(answer(late_answers, time.monotonic()) for _ in range(30)))
    assert max(took) > 0.2, "by chance, up to a second"
    other.cancel()


async def test_t40_answers_to_a_crowd_come_later_so_that_only_some_come_in_a_second():
    late_answers, now = LateAnswers(pause=0.01, most_a_second=100), time.monotonic()
    took = await asyncio.gather(*(answer(late_answers, now) for _ in range(40)))
    assert max(took) > 0.2, "by chance, up to 0.8 seconds"
