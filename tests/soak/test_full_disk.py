"""Postgres's disk is full, that of its data or that of its log of changes; later there is room."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess

import asyncpg
import pytest
from testbed.cluster import Cluster
from testbed.waiting import until

from tests.e2e.calls import AUDIENCE, call, exchange, is_refused, new_keys, revoke, try_exchange
from tests.soak.small_disk import fill, small_disk
from tokensvc.verify import Verifier

PUBLIC = ("/.well-known/jwks.json", "/v1/denylist", "/livez")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")


@pytest.fixture
def cluster():
    with Cluster() as opened:
        opened.primary.end(signal.SIGINT)
        yield opened


async def start_service(new_process, cluster):
    process = await asyncio.to_thread(new_process, TOKENSVC_DATABASE_URL=cluster.primary.url)
    await asyncio.to_thread(process.wait_until_ready)
    return process


async def test_f24_with_a_full_data_disk_what_only_reads_goes_on(cluster, new_process):
    with small_disk(cluster.primary, "base", "60m") as base:
        cluster.primary.start()
        process = await start_service(new_process, cluster)
        good, *doomed = await asyncio.to_thread(new_keys, process, 200)
        await asyncio.to_thread(exchange, process.url, good.text)
        assert await asyncio.to_thread(revoke, process.url, doomed.pop().text) == 200
        filler = fill(base, 40_960)
        statuses: list[int] = []
        for key in doomed:
            statuses.append(await asyncio.to_thread(revoke, process.url, key.text))
            if statuses.count(503) == 3:
                break
        assert set(statuses) == {200, 503}
        for path in PUBLIC:
            assert (await asyncio.to_thread(call, f"{process.url}{path}")).status == 200
        filler.unlink()
        for key, status in zip(doomed, statuses, strict=False):
            if status == 200:
                answer = await asyncio.to_thread(try_exchange, process.url, key.text)
                assert answer.status == 401
        assert await asyncio.to_thread(revoke, process.url, doomed[-1].text) == 200
        await until(lambda: try_exchange(process.url, good.text).status == 200)
        await asyncio.to_thread(process.stop)


async def test_f25_a_full_disk_of_changes_stops_postgres_and_what_was_acknowledged_stays(
    cluster, new_process
):
    with small_disk(cluster.primary, "pg_wal", "40m") as changes:
        cluster.primary.start()
        process = await start_service(new_process, cluster)
        good, *doomed = await asyncio.to_thread(new_keys, process, 20)
        tokens = {
            key.text: await asyncio.to_thread(exchange, process.url, key.text)
            for key in (good, *doomed)
        }
        async with Verifier(issuer=process.url, audience=AUDIENCE) as follower:
            acknowledged = await revoke_until_it_is_full(
                cluster, process, doomed, lambda key: is_refused(follower, tokens[key])
            )
            assert acknowledged
            answer = await asyncio.to_thread(try_exchange, process.url, good.text)
            assert (answer.status, "Retry-After" in answer.headers) == (503, True)
            assert (await asyncio.to_thread(call, f"{process.url}/livez")).status == 200
            assert await asyncio.to_thread(process.is_ready) is False
            follower.verify(tokens[good.text])  # followers go on until they are stale
            assert all(is_refused(follower, tokens[key]) for key in acknowledged)

            subprocess.run(["mount", "-o", "remount,size=200m", changes], check=True)
            cluster.primary.end(signal.SIGQUIT)
            cluster.primary.start()
            await until(process.is_ready)
            for key in acknowledged:
                answer = await asyncio.to_thread(try_exchange, process.url, key)
                assert answer.status == 401
            assert await asyncio.to_thread(exchange, process.url, good.text)
            assert all(is_refused(follower, tokens[key]) for key in acknowledged)
        await asyncio.to_thread(process.stop)


async def revoke_until_it_is_full(cluster, process, doomed, is_known):
    """Revoke, and use the disk up behind a slot that nobody reads; return what succeeded.

    Postgres stops when it begins a new file of changes. Before that, a follower must know what was
    acknowledged.
    """
    connection = await cluster.primary.connect()
    await connection.execute("select pg_create_physical_replication_slot('dead', true)")
    acknowledged = []
    with contextlib.suppress(asyncpg.PostgresError, OSError, asyncpg.InterfaceError):
        for key in doomed:
            if await asyncio.to_thread(revoke, process.url, key.text) == 200:
                acknowledged.append(key.text)
                await until(lambda key=key.text: is_known(key))
            await connection.execute("select pg_switch_wal()")
    await until(lambda: not process.is_ready())
    await connection.close()
    return acknowledged
