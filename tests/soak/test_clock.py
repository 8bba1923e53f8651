"""Postgres's clock is really moved, by libfaketime, under a service of its own."""

from __future__ import annotations

import asyncio
import signal

import pytest
from testbed.cluster import Cluster, can_replicate
from testbed.failover import find_refusal
from testbed.failover_stage import open_stage
from testbed.faketime import FAKETIME, MovedClock
from testbed.following import following
from testbed.keys import add_keys_to
from testbed.waiting import until

from tests.e2e.calls import AUDIENCE, call, exchange, is_refused, new_key, revoke
from tests.endings import suspend_account
from tokensvc.core.actor import Actor
from tokensvc.issuer.database import open_database
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
    return answer.status, answer.json["checks"].get("clock")  # None while the service starts


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
    async with following(Verifier(issuer=process.url, audience=AUDIENCE)) as fresh:
        assert is_refused(fresh, bad)
    await connection.close()


@pytest.mark.parametrize("back", [2, 4])
async def test_f41_a_revocation_holds_after_a_small_step_back(back, cluster, clock, new_process):
    process = await asyncio.to_thread(new_process, TOKENSVC_DATABASE_URL=cluster.primary.url)
    await asyncio.to_thread(process.wait_until_ready)
    doomed = await asyncio.to_thread(new_key, process)
    async with following(Verifier(issuer=process.url, audience=AUDIENCE)) as running:
        clock.ahead = back
        bad = await asyncio.to_thread(exchange, process.url, doomed.text)
        clock.ahead = 0
        assert await asyncio.to_thread(revoke, process.url, doomed.text) == 200
        await until(lambda: is_refused(running, bad))
        async with following(Verifier(issuer=process.url, audience=AUDIENCE)) as fresh:
            assert is_refused(fresh, bad)


@pytest.mark.skipif(not can_replicate(), reason="needs Debian's postgresql, for pg_basebackup")
async def test_f41_a_command_revokes_what_the_lost_primary_issued_though_the_new_clock_is_behind(
    clock,
):
    """The standby never heard of the token, and no process remembers it."""
    async with open_stage(synchronous=False, of_postgres=clock.environment) as stage:
        await stage.cluster.add_standby(synchronous=False)
        keys = await add_keys_to(stage.cluster.primary.url, 2)
        async with following(stage.verifier(0)) as running:
            await stage.cluster.wait_for_standby()
            await stage.cluster.cut()
            bad, good = [str(await stage.client(0).exchange(key)) for key in keys]
            stage.cluster.primary.end(signal.SIGKILL)
            for service in stage.services:
                service.stop()
            clock.ahead = -90
            await stage.cluster.promote()
            account_id = running.verify(bad).sub
            database = await open_database(stage.cluster.url, max_size=1)
            await suspend_account(database, account_id, actor=Actor(name="test"))
            await database.close()
            for service in stage.services:
                await asyncio.to_thread(service.start)
            await until(lambda: find_refusal(running, bad) == "revoked_account")
            assert find_refusal(running, good) is None
            async with following(stage.verifier(1)) as fresh:
                assert find_refusal(fresh, bad) == "revoked_account"


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
    await until(lambda: answers(process) and checks(process) == (503, False))
    answer = await asyncio.to_thread(ask, process, key)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")

    clock.ahead = 0
    await until(lambda: checks(process) == (200, True))
    assert (await asyncio.to_thread(ask, process, key)).status == 200
