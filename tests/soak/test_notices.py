"""A receiver is down for an hour, and the service is killed twice meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import signal

import asyncpg
import pytest
from testbed.waiting import until

from tests.integration.receiving import Receiver

# What would take an hour: the endpoint is left alone, and deliveries wait for their next attempt.
LET_TIME_PASS = """
with deliveries as (
    update notice_delivery set next_at = next_at - interval '1 hour' where next_at is not null
)
update notice_endpoint
set leased_until = leased_until - interval '1 hour', due_at = due_at - interval '1 hour',
    failing_since = failing_since - interval '1 hour'
where due_at is not null
"""
MOST_HOURS = 24


@pytest.fixture
async def receiver():
    made = Receiver()
    await made.server.start_server()
    yield made
    await made.server.close()


async def test_f48_every_notice_arrives_although_the_receiver_was_down_and_the_service_was_killed(
    new_process, receiver
):
    receiver.status = 503
    process = await asyncio.to_thread(
        functools.partial(new_process, TOKENSVC_NOTICE_ALLOWED_NETWORKS="127.0.0.0/8")
    )
    await asyncio.to_thread(process.wait_until_ready)

    async def cli(*arguments):
        done = await asyncio.to_thread(lambda: process.cli(*arguments, "-o", "json"))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    made = await cli("notice", "create", receiver.url, "--event", "key.created")
    account = (await cli("account", "create", "Orders"))["id"]
    keys = []
    for number in range(12):
        key = await cli(
            "key", "create", "--account", account, "--name", str(number), "--capability", "a:b"
        )
        keys.append(key["id"])
        if number in {3, 7}:
            await until(lambda: receiver.got)
            await asyncio.to_thread(process.send_group, signal.SIGKILL)
            await asyncio.to_thread(process.wait)
            await asyncio.to_thread(process.start)
            await asyncio.to_thread(process.wait_until_ready)
    receiver.status = 200
    failed = len(receiver.got)
    connection = await asyncpg.connect(process.database_url)

    def list_told():
        return {got.body["data"]["subject"] for got in receiver.got[failed:]}

    for _ in range(MOST_HOURS):
        with contextlib.suppress(asyncpg.DeadlockDetectedError):  # the service has the same rows
            await connection.execute(LET_TIME_PASS)
        with contextlib.suppress(TimeoutError):
            await until(lambda: set(keys) <= list_told(), seconds=2)
            break
    await connection.close()
    assert set(keys) <= list_told()
    for got in receiver.got:
        got.check(made["secret"])
    process.stop()
    assert "Traceback" not in process.errors
