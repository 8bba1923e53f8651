"""Postgres's clock is really moved, by libfaketime, under a service of its own."""

from __future__ import annotations

import asyncio

import pytest
from testbed.cluster import Cluster
from testbed.faketime import FAKETIME, MovedClock
from testbed.waiting import until

from tests.e2e.calls import AUDIENCE, call, exchange, is_refused, new_key, revoke
from tokensvc.store.primary import connect
from tokensvc.verify import Verifier

CLEANING_SECONDS = 35  # more than one round of the cleaner

pytestmark = pytest.mark.skipif(
    FAKETIME is None, reason="needs libfaketime (Debian: apt-get install faketime)"
)


@pytest.fixture
def clock(session_folder):
    """Postgres's clock."""
    return MovedClock(session_folder / "clock")


@pytest.fixture
async def cluster(clock):
    with Cluster(clock.environment) as opened:
        yield opened


def ask(process, key):
    return call(f"{process.url}/v1/token", {}, Authorization=f"Bearer {key.text}")


def checks(process):
    answer = call(f"{process.url}/readyz")
    return answer.status, answer.json["checks"]["clock"]


def answers(process):
    try:
        return call(f"{process.url}/livez").status == 200
    except OSError:
        return False


@pytest.mark.parametrize("ahead", [600, 3600, -90])
async def test_f42_a_clock_that_is_wrong_for_a_while_loses_nothing(
    ahead, cluster, clock, new_process
):
    process = await asyncio.to_thread(new_process, TOKENSVC_DATABASE_URL=cluster.primary.url)
    await asyncio.to_thread(process.wait_until_ready)
    key, doomed = [await asyncio.to_thread(new_key, process) for _ in range(2)]
    bad = await asyncio.to_thread(exchange, process.url, doomed.text)
    assert await asyncio.to_thread(revoke, process.url, doomed.text) == 200

    clock.ahead = ahead
    connection = await connect(cluster.primary.url)
    for _ in range(CLEANING_SECONDS):
        answer = await asyncio.to_thread(ask, process, key)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        await asyncio.sleep(1)
    assert await asyncio.to_thread(checks, process) == (503, False)
    assert await connection.fetchval("select count(*) from denylist") == 1
    assert await connection.fetchval("select sum(minute_count) from api_key_window") == 1

    clock.ahead = 0
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
        clock.ahead = back
        bad = await asyncio.to_thread(exchange, process.url, doomed.text)
        clock.ahead = 0
        assert await asyncio.to_thread(revoke, process.url, doomed.text) == 200
        await until(lambda: is_refused(running, bad))
        async with Verifier(issuer=process.url, audience=AUDIENCE) as fresh:
            assert is_refused(fresh, bad)


@pytest.mark.parametrize("ahead", [600, -90])
async def test_f26_a_service_that_starts_while_the_clock_is_wrong_waits_until_it_is_right(
    ahead, cluster, clock, new_process
):
    process = await asyncio.to_thread(new_process, TOKENSVC_DATABASE_URL=cluster.primary.url)
    await asyncio.to_thread(process.wait_until_ready)
    key = await asyncio.to_thread(new_key, process)
    assert (await asyncio.to_thread(ask, process, key)).status == 200
    await asyncio.to_thread(process.stop)

    clock.ahead = ahead
    await asyncio.to_thread(process.start)
    await until(lambda: "clock_doubted" in process.errors)
    await until(lambda: answers(process))
    assert checks(process) == (503, False)
    answer = await asyncio.to_thread(ask, process, key)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")

    clock.ahead = 0
    await until(lambda: checks(process) == (200, True))
    assert (await asyncio.to_thread(ask, process, key)).status == 200
