"""Two workers of one service: all tests of this module share it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal

import aiohttp
import pytest
from testbed.following import following
from testbed.ports import find_free_port
from testbed.processes import count_connections, is_alive, may_count_connections
from testbed.waiting import until, wait_until

from tests.e2e.calls import AUDIENCE, call, exchange, is_refused, new_key, revoke
from tokensvc.store.primary import connect
from tokensvc.verify import Verifier

IN_FLIGHT = 8
METRICS_PORT = find_free_port()


@pytest.fixture(scope="module")
def process(new_shared_process):
    environment = {"TOKENSVC_METRICS_PORT": str(METRICS_PORT)}
    process = new_shared_process("--workers", "2", **environment)
    process.wait_until_ready()
    return process


@pytest.fixture(scope="module")
def key(process):
    return new_key(process)


@pytest.fixture(autouse=True)
def both_workers(process):
    wait_until(lambda: len(process.workers) == 2 and process.is_ready())
    return process.workers


async def test_a_revocation_at_one_worker_reaches_followers_at_both(process, key, both_workers):
    async with contextlib.AsyncExitStack() as stack:
        verifiers: list[Verifier] = []
        while not have_all_followers(process, both_workers, len(verifiers)):
            verifier = following(Verifier(issuer=process.url, audience=AUDIENCE))
            verifiers.append(await stack.enter_async_context(verifier))
            assert len(verifiers) < 100, "one worker takes no connection"
        for _ in range(3):
            token = await asyncio.to_thread(exchange, process.url, key.text)
            assert {verifier.verify(token).client_id for verifier in verifiers} == {key.id}
            assert await asyncio.to_thread(revoke, process.url, token) == 200
            await until(
                lambda token=token: all(is_refused(verifier, token) for verifier in verifiers)
            )


def have_all_followers(process, workers, followers):
    """Tell whether every worker has a follower; who cannot look opens twenty of them."""
    if not all(may_count_connections(worker) for worker in workers):
        return followers >= 20
    return all(count_connections(worker, process.port) for worker in workers)


def test_metrics_are_those_of_all_workers_and_survive_one_of_them(process, key):
    assert call(f"{process.url}/metrics").status == 404, "they have a port of their own"
    before = read_issued()
    for _ in range(20):  # each on a connection of its own: both workers take some
        exchange(process.url, key.text)
    wait_until(lambda: read_issued() == before + 20)
    ended = process.workers[0]
    os.kill(ended, signal.SIGTERM)
    wait_until(lambda: ended not in process.workers and len(process.workers) == 2)
    wait_until(process.is_ready)
    exchange(process.url, key.text)
    wait_until(lambda: read_issued() == before + 21)


def read_issued():
    text = call(f"http://127.0.0.1:{METRICS_PORT}/metrics").body.decode()
    found = re.findall(r'^tokensvc_exchanges_total\{outcome="issued"\} (\S+)$', text, re.MULTILINE)
    return float(found[0]) if found else 0


async def test_f28_a_killed_worker_fails_only_what_it_was_doing_and_is_replaced(process, key):
    postmaster, (victim, other) = process.postmaster, process.workers
    outcomes: list[int | None] = []
    stopped = asyncio.Event()

    async def use(client):
        while not stopped.is_set():
            try:
                headers = {"Authorization": f"Bearer {key.text}"}
                async with client.post(f"{process.url}/v1/token", headers=headers) as answer:
                    outcomes.append(answer.status)
            except (aiohttp.ClientError, OSError):
                outcomes.append(None)

    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as client:
        using = [asyncio.create_task(use(client)) for _ in range(IN_FLIGHT)]
        await until(lambda: len(outcomes) >= 10 * IN_FLIGHT)
        os.kill(victim, signal.SIGKILL)
        await until(lambda: victim not in process.workers and len(process.workers) == 2)
        enough = len(outcomes) + 20 * IN_FLIGHT
        await until(lambda: len(outcomes) >= enough)
        stopped.set()
        await asyncio.gather(*using)
    assert set(outcomes) <= {200, None}
    assert outcomes.count(None) <= IN_FLIGHT, "those that it had taken"
    assert other in process.workers
    assert is_alive(postmaster)
    connection = await connect(process.database_url)
    held = "select count(*) from pg_locks where locktype in ('advisory', 'tuple')"
    await until(lambda: is_zero(connection, held))
    await connection.close()


async def is_zero(connection, statement):
    return await connection.fetchval(statement) == 0
