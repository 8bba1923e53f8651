"""Postgres's clock is really moved, by libfaketime, under a service of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from testbed.cluster import Cluster
from testbed.waiting import until

from tests.e2e.calls import AUDIENCE, call, exchange, is_refused, new_key, revoke
from tokensvc.store.primary import connect
from tokensvc.verify import Verifier

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
CLEANING_SECONDS = 35  # more than one round of the cleaner

pytestmark = pytest.mark.skipif(
    FAKETIME is None, reason="needs libfaketime (Debian: apt-get install faketime)"
)


@pytest.fixture
def clock(session_folder):
    """The file from which Postgres reads by how many seconds its clock is ahead."""
    file = session_folder / "clock"
    file.write_text("+0\n")
    file.chmod(0o644)
    return file


@pytest.fixture
async def cluster(clock):
    environment = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with Cluster(environment) as opened:
        yield opened


def ask(process, key):
    return call(f"{process.url}/v1/token", {}, Authorization=f"Bearer {key.text}")


def checks(process):
    answer = call(f"{process.url}/readyz")
    return answer.status, answer.json["checks"]["clock"]


@pytest.mark.parametrize("ahead", [600, 3600, -90])
async def test_f42_a_clock_that_is_wrong_for_a_while_loses_nothing(
    ahead, cluster, clock, new_process
):
    process = await asyncio.to_thread(new_process, TOKENSVC_DATABASE_URL=cluster.primary.url)
    await asyncio.to_thread(process.wait_until_ready)
    key, doomed = [await asyncio.to_thread(new_key, process) for _ in range(2)]
    bad = await asyncio.to_thread(exchange, process.url, doomed.text)
    assert await asyncio.to_thread(revoke, process.url, doomed.text) == 200

    clock.write_text(f"{ahead:+d}\n")
    connection = await connect(cluster.primary.url)
    for _ in range(CLEANING_SECONDS):
        answer = await asyncio.to_thread(ask, process, key)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        await asyncio.sleep(1)
    assert await asyncio.to_thread(checks, process) == (503, False)
    assert await connection.fetchval("select count(*) from denylist") == 1
    assert await connection.fetchval("select sum(minute_count) from api_key_window") == 1

    clock.write_text("+0\n")
    await until(lambda: checks(process) == (200, True))
    assert (await asyncio.to_thread(ask, process, key)).status == 200
    assert (await asyncio.to_thread(ask, process, doomed)).status == 401
    async with Verifier(issuer=process.url, audience=AUDIENCE) as fresh:
        assert is_refused(fresh, bad)
    await connection.close()


@pytest.mark.parametrize("back", [2, 4])
async def test_f41_a_revocation_holds_after_a_small_step_back(back, cluster, clock, new_process):
    process = await asyncio.to_thread(new_process, TOKENSVC_DATABASE_URL=cluster.primary.url)
    await asyncio.to_thread(process.wait_until_ready)
    doomed = await asyncio.to_thread(new_key, process)
    async with Verifier(issuer=process.url, audience=AUDIENCE) as running:
        clock.write_text(f"+{back}\n")
        bad = await asyncio.to_thread(exchange, process.url, doomed.text)
        clock.write_text("+0\n")
        assert await asyncio.to_thread(revoke, process.url, doomed.text) == 200
        await until(lambda: is_refused(running, bad))
        async with Verifier(issuer=process.url, audience=AUDIENCE) as fresh:
            assert is_refused(fresh, bad)
