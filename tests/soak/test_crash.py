"""`kill -9` under a longer load, with one process and with two workers, again and again."""

from __future__ import annotations

import asyncio
import json
import os
import signal

import pytest
from testbed.processes import is_alive
from testbed.waiting import until

from tests.e2e.calls import exchange, jwks, new_key, revoke, try_exchange
from tests.e2e.crash import Load, check_survivors, restart

WORKERS = [(), ("--workers", "2")]


@pytest.mark.parametrize("arguments", WORKERS)
async def test_the_service_is_killed_under_load(new_process, arguments):
    process = await asyncio.to_thread(new_process, *arguments)
    await asyncio.to_thread(process.wait_until_ready)
    load = await asyncio.to_thread(Load, process, exchanges=200)
    document = await asyncio.to_thread(jwks, process.url)
    workers = process.workers
    await load.run(lambda: process.send_group(signal.SIGKILL))
    process.wait()
    await until(lambda: not any(is_alive(worker) for worker in workers))
    assert 66 <= len(load.exchanged) < 100
    assert load.revoked
    await restart(process)
    await check_survivors(load)
    assert process.output.count("This is the first start") == 1
    assert await asyncio.to_thread(jwks, process.url) == document

    postmaster = process.postmaster
    token = await asyncio.to_thread(exchange, process.url, load.keys[0].text)
    assert await asyncio.to_thread(revoke, process.url, token) == 200
    workers = process.workers
    process.kill()  # alone: nobody is left who could stop its workers and Postgres
    await until(lambda: not any(is_alive(worker) for worker in workers))
    assert is_alive(postmaster)
    await restart(process)
    assert process.postmaster == postmaster
    load.revoked.add(token)
    await check_survivors(load)
    process.stop()
    assert not is_alive(postmaster)
    assert "Traceback" not in process.errors


async def test_f2_the_embedded_postgres_is_killed_under_load(new_process):
    process = await asyncio.to_thread(new_process)
    await asyncio.to_thread(process.wait_until_ready)
    load = await asyncio.to_thread(Load, process, exchanges=200)
    postmaster = process.postmaster
    await load.run(lambda: os.kill(postmaster, signal.SIGKILL))
    listed = await asyncio.to_thread(process.cli, "account", "list")
    assert listed.returncode == 0, "a command starts it again, though the service still runs"
    assert process.postmaster != postmaster
    await until(process.is_ready)
    await check_survivors(load)
    os.kill(process.postmaster, signal.SIGKILL)
    await until(lambda: not process.is_ready())
    answer = await asyncio.to_thread(try_exchange, process.url, load.keys[0].text)
    assert (answer.status, answer.json["error"]) == (503, "temporarily_unavailable")
    assert await asyncio.to_thread(revoke, process.url, load.tokens[0]) == 503
    process.stop()
    process.start()
    await asyncio.to_thread(process.wait_until_ready)
    await check_survivors(load)
    assert process.output.count("This is the first start") == 1
    assert set(load.statuses) <= {200, 503}


def test_a_command_after_everything_was_killed_starts_postgres_again(new_process):
    process = new_process()
    process.wait_until_ready()
    key = new_key(process)
    os.kill(process.postmaster, signal.SIGKILL)
    process.kill()
    shown = process.cli("key", "show", key.id, "-o", "json")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert json.loads(shown.stdout)["id"] == key.id
