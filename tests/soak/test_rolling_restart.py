"""Replicas are restarted one after the other while clients of both go on."""

from __future__ import annotations

import asyncio

import aiohttp
from testbed.balancer import Balancer

from tests.e2e.calls import new_keys
from tests.e2e.replicas import start_pair

CLIENTS = 8
ROUNDS = 3


async def test_f29_no_request_fails_while_two_replicas_are_restarted(
    new_process, new_database_url, tmp_path
):
    pair = await asyncio.to_thread(
        start_pair, new_process, new_database_url("empty"), str(tmp_path / "keys")
    )
    keys = await asyncio.to_thread(new_keys, pair.first, CLIENTS)
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        balancer = Balancer([pair.first.url, pair.second.url], session)
        using = [asyncio.create_task(balancer.use(key.text)) for key in keys]
        for _ in range(ROUNDS):
            for process in (pair.first, pair.second):
                await asyncio.to_thread(process.stop)
                await asyncio.to_thread(process.start)
                await asyncio.to_thread(process.wait_until_ready)
        balancer.is_stopped = True
        await asyncio.gather(*using)
    assert set(balancer.outcomes) == {200}
    assert balancer.outcomes[200] > 100
