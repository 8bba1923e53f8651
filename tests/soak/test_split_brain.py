"""After a failover the old primary is started again, and services and commands start anew.

Every URL names both hosts, and each of them stands first in every second round.
"""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import aiohttp
import pytest
from testbed.cluster import can_replicate
from testbed.failover_stage import open_stage
from testbed.keys import add_keys_to

from tokensvc.core.api_key import parse_api_key
from tokensvc.store.api_key import find_id_by_digest
from tokensvc.store.primary import connect
from tokensvc.store.timelines import FILE_NAME

ROUNDS = 20
QUICK = aiohttp.ClientTimeout(total=1)
# Whatever anybody does leaves a trace in one of these numbers.
TRACES = """
select (select count(*) from audit_event) as audited,
    (select sum(seq) from feed_head) as changed,
    (select sum(day_count) from api_key_window) as issued
"""


async def count_traces(node):
    connection = await connect(node.url)
    ((*traces,),) = await connection.fetch(TRACES)
    await connection.close()
    return traces


async def find_id(node, key):
    connection = await connect(node.url)
    key_id = await find_id_by_digest(connection, parse_api_key(key).digest)
    await connection.close()
    return str(key_id)


async def restart(service, *, forget):
    """Start a service anew; if it shall `forget`, it cannot know which timelines were seen."""
    await asyncio.to_thread(service.stop)
    if forget:
        (Path(service.environment["TOKENSVC_KEYS_DIR"]) / FILE_NAME).unlink()
    await asyncio.to_thread(service.start)


async def cli(service, *arguments):
    return await asyncio.to_thread(service.cli, *arguments)


async def exchange_for(stage, number, key, seconds):
    """Try for a while to get a token; return the answers that were given."""
    give_up_on, answers = time.monotonic() + seconds, set()
    headers = {"Authorization": f"Bearer {key}"}
    while time.monotonic() < give_up_on:
        url = f"{stage.services[number].url}/v1/token"
        try:
            async with stage.session.post(url, headers=headers, timeout=QUICK) as answer:
                answers.add(answer.status)
        except (aiohttp.ClientError, TimeoutError):
            pass
        await asyncio.sleep(0.05)
    return answers


async def play(stage, number):
    """Play one round with one service that runs on and one that is started anew."""
    cluster, (running, restarted) = stage.cluster, stage.services
    await cluster.add_standby(synchronous=False)
    lost, good, spared = await add_keys_to(cluster.primary.url, 3)
    spared_id = await find_id(cluster.primary, spared)
    assert await stage.client(0).exchange(lost)
    await cluster.wait_for_standby()
    cluster.primary.end(signal.SIGKILL)
    await cluster.promote()
    assert await stage.client(0).exchange(good)

    await asyncio.to_thread(cluster.standby.start)  # the old primary
    before = await count_traces(cluster.standby)
    await stage.client(0).revoke(lost)
    await restart(restarted, forget=number % 4 < 2)
    await asyncio.to_thread(restarted.wait_until_ready)
    assert await stage.client(1).exchange(lost) is None
    assert await stage.client(1).exchange(good)
    refused = await cli(restarted, "key", "revoke", spared_id, "--yes")
    assert (refused.returncode, refused.stdout) == (6, "")
    assert (await cli(restarted, "key", "list")).returncode == 0
    assert await stage.client(0).exchange(spared)

    cluster.primary.end(signal.SIGKILL)  # only the old primary answers
    await restart(restarted, forget=False)
    assert 200 not in await exchange_for(stage, 1, lost, seconds=2)
    assert 200 not in await exchange_for(stage, 0, lost, seconds=0.5)
    refused = await cli(restarted, "key", "revoke", spared_id, "--yes")
    assert refused.returncode == 6
    assert "is an old primary" in refused.stderr
    await asyncio.to_thread(cluster.primary.start)
    for service in (running, restarted):
        await asyncio.to_thread(service.wait_until_ready)
    assert await stage.client(1).exchange(lost) is None
    assert await stage.client(1).exchange(spared)
    assert await count_traces(cluster.standby) == before


@pytest.mark.skipif(not can_replicate(), reason="needs Debian's postgresql, for pg_basebackup")
async def test_f44_no_token_for_a_revoked_key_and_no_act_on_the_old_primary_in_20_rounds():
    async with open_stage(synchronous=False) as stage:
        for number in range(ROUNDS):
            await play(stage, number)
