"""What only TokenSource has: several event loops, cancelled callers, and closing."""

from __future__ import annotations

import asyncio
import threading

import pytest
import uvloop
from tests.unit.client.loopback import KEY, grant

from tokensvc.client import SourceClosedError, ThreadedTokenSource, TokenSource


@pytest.fixture
def source(issuer, clock):
    return TokenSource(issuer=issuer.url, api_key=KEY, clock=clock, sleep=clock.sleep)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_event_loops_one_after_another_share_the_tokens(new_loop, source, issuer):
    for _ in range(3):
        with asyncio.Runner(loop_factory=new_loop) as runner:
            assert runner.run(source.get_token()) == "token-1"
    assert issuer.asked == 1


def test_event_loops_side_by_side_ask_once_each_at_most(source, issuer):
    tokens = []
    threads = [
        threading.Thread(target=lambda: tokens.append(asyncio.run(source.get_token())))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tokens) == 5
    assert 1 <= issuer.asked <= 5
    assert asyncio.run(source.get_token()) in tokens


async def test_a_caller_that_is_cancelled_does_not_end_the_exchange_for_others(source, issuer):
    issuer.gate.clear()
    callers = [asyncio.create_task(source.get_token()) for _ in range(3)]
    await asyncio.to_thread(issuer.arrived.acquire)
    callers[0].cancel()
    issuer.gate.set()
    assert await asyncio.gather(*callers[1:]) == ["token-1"] * 2
    assert callers[0].cancelled()
    assert issuer.asked == 1
    await source.close()


async def test_closing_ends_the_exchanges_that_run(source, issuer):
    issuer.gate.clear()
    async with source:
        caller = asyncio.create_task(source.get_token())
        await asyncio.to_thread(issuer.arrived.acquire)
    with pytest.raises(SourceClosedError):
        await caller


async def test_closing_ends_the_exchanges_of_other_event_loops_too(source, issuer, loop):
    issuer.gate.clear()
    caller = asyncio.run_coroutine_threadsafe(source.get_token(), loop.loop)
    await asyncio.to_thread(issuer.arrived.acquire)
    await source.close()
    with pytest.raises(SourceClosedError):
        await asyncio.wrap_future(caller)


async def test_an_event_loop_that_ended_during_an_exchange_does_not_block_others(source, issuer):
    issuer.gate.clear()

    def run_and_leave():
        left = asyncio.new_event_loop()
        task = left.create_task(source.get_token())
        left.run_until_complete(asyncio.wait({task}, timeout=0.02))
        for unfinished in asyncio.all_tasks(left):
            unfinished.cancel()
        left.run_until_complete(asyncio.wait({task}))
        left.close()
        return left

    left = await asyncio.to_thread(run_and_leave)
    issuer.gate.set()
    assert (await source.get_token()).startswith("token-")
    await source.close()
    del left


@pytest.mark.parametrize("kind", [TokenSource, ThreadedTokenSource])
def test_an_unexpected_error_reaches_the_caller_and_does_not_block_later_calls(kind, issuer):
    faults = [ZeroDivisionError()]

    def chance():
        if faults:
            raise faults.pop()
        return 0.5

    source = kind(issuer=issuer.url, api_key=KEY, chance=chance)

    def get():
        token = source.get_token()
        return token if isinstance(token, str) else asyncio.run(token)

    with pytest.raises(ZeroDivisionError):
        get()
    assert get() == "token-2"


async def test_a_short_lived_token_is_refreshed_in_time(issuer, clock, source):
    issuer.replies += [grant("short", 2), grant("next", 2)]
    assert await source.get_token() == "short"
    clock.now += 1.01
    assert await source.get_token() == "next"
    await source.close()
