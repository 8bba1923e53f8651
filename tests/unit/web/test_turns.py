"""Of many requests, a few go on in each round of the event loop."""

from __future__ import annotations

import asyncio
import time

from tokensvc.web.turns import Turns


async def test_t40_others_get_a_look_in_between_the_turns():
    turns, seen = Turns(at_once=2), []

    async def take(name):
        await turns.take()
        seen.append(name)

    tasks = [asyncio.create_task(take(number)) for number in range(6)]
    await asyncio.sleep(0)
    assert seen == [0, 1]
    longest = 0
    while not all(task.done() for task in tasks):
        before = len(seen)
        await asyncio.sleep(0)
        longest = max(longest, len(seen) - before)
    assert seen == list(range(6)), "in the order they came"
    assert longest == 2


async def test_a_request_whose_client_has_gone_takes_no_turn():
    turns = Turns(at_once=1)
    first, gone, last = [asyncio.create_task(turns.take()) for _ in range(3)]
    await first
    gone.cancel()
    async with asyncio.timeout(5):
        await last
    assert gone.cancelled()


async def test_a_request_alone_does_not_wait():
    turns = Turns(at_once=1)
    for _ in range(3):
        waiting = turns.take()
        try:
            waiting.send(None)
        except StopIteration:
            pass
        else:
            raise AssertionError("it waits")
        await asyncio.sleep(0)


async def test_t40_a_flood_finds_a_pause_between_the_rounds():
    turns, came = Turns(at_once=2, pause=0.01), []

    async def take():
        await turns.take()
        came.append(time.monotonic())

    began_on = time.monotonic()
    await asyncio.gather(*(take() for _ in range(7)))
    assert [came[number] - began_on >= 0.01 * (number // 2) for number in range(7)] == [True] * 7
