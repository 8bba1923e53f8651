"""Replicas are restarted one after the other while clients of both go on."""

from __future__ import annotations

import asyncio

import aiohttp

from tests.e2e.calls import new_keys
from tests.e2e.replicas import start_pair

CLIENTS = 8
ROUNDS = 3


class Balancer:
    """Chooses a replica as a load balancer does: the next one that takes requests."""

    def __init__(self, urls, session):
        self.urls, self.session, self.turn = urls, session, 0
        self.statuses = []
        self.stopped = False

    async def use(self, key):
        headers = {"Authorization": f"Bearer {key}"}
        while not self.stopped:
            self.statuses.append(await self.exchange(headers))

    async def exchange(self, headers):
        self.turn += 1
        first = self.turn % len(self.urls)
        for url in self.urls[first:] + self.urls[:first]:
            try:
                async with self.session.post(f"{url}/v1/token", headers=headers) as answer:
                    if answer.status != 503 or "Retry-After" not in answer.headers:
                        return answer.status
                    # It is not ready yet, and has done nothing.
            except aiohttp.ClientConnectorError:
                continue  # nothing was sent
            except aiohttp.ClientError as error:
                return repr(error)
        return "nobody takes requests"


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
        balancer.stopped = True
        await asyncio.gather(*using)
    assert set(balancer.statuses) == {200}
    assert len(balancer.statuses) > 100
