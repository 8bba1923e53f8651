"""`kill -9`, of the service and of its Postgres, under load: nothing acknowledged is lost.

Longer, and with several workers: tests/soak/test_crash.py.
"""

from __future__ import annotations

import asyncio
import os
import signal

from testbed.processes import is_alive
from testbed.waiting import until

from tests.e2e.calls import exchange, jwks, revoke, try_exchange
from tests.e2e.crash import Load, check_survivors, restart


async def test_what_was_acknowledged_outlives_a_service_that_is_killed_under_load(new_process):
    process = await asyncio.to_thread(new_process)
    await asyncio.to_thread(process.wait_until_ready)
    load = await asyncio.to_thread(Load, process, exchanges=60)
    document = await asyncio.to_thread(jwks, process.url)
    postmaster = process.postmaster
    await load.run(lambda: process.send_group(signal.SIGKILL))
    process.wait()
    assert 20 <= len(load.exchanged) < 40
    assert load.revoked
    assert is_alive(postmaster), "its Postgres is in a session of its own"
    await restart(process)
    assert process.postmaster == postmaster
    await check_survivors(load)
    assert process.output.count("This is the first start") == 1
    assert await asyncio.to_thread(jwks, process.url) == document
    process.stop()
    assert not is_alive(postmaster)
    assert "Traceback" not in process.errors


async def test_f2_a_service_outlives_its_postgres_that_is_killed_under_load(new_process):
    process = await asyncio.to_thread(new_process)
    await asyncio.to_thread(process.wait_until_ready)
    load = await asyncio.to_thread(Load, process, exchanges=60)
    postmaster = process.postmaster
    await load.run(lambda: os.kill(postmaster, signal.SIGKILL))
    assert set(load.statuses) <= {200, 503}
    await until(lambda: try_exchange(process.url, load.keys[0].text).status == 503)
    assert await asyncio.to_thread(revoke, process.url, load.tokens[0]) == 503
    listed = await asyncio.to_thread(process.cli, "account", "list")
    assert listed.returncode == 0, "a command starts it again, though the service still runs"
    assert process.postmaster != postmaster
    await until(process.is_ready)
    await check_survivors(load)
    assert await asyncio.to_thread(exchange, process.url, load.keys[0].text)
