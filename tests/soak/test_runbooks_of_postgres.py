"""The runbooks for faults of Postgres, each tried while its fault is really there.

The service has a role of its own, as in production. So the pages must say where an administrator
of Postgres is needed: `ADMIN_URL`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
from datetime import datetime
from functools import partial
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from testbed.cluster import Cluster, can_replicate
from testbed.faketime import FAKETIME, MovedClock
from testbed.waiting import PATIENCE, until, wait_until

from tests.e2e.calls import call, exchange, new_key, new_keys, revoke, try_exchange
from tests.soak.runbook import PROGRAMS, ask, opening
from tests.soak.small_disk import fill, small_disk
from tokensvc.store.primary import connect

ROLE, PASSWORD = "tokensvc_service", "dk28fjq0"
AHEAD = 600
DISABLE = "update api_key set disabled_at = clock_timestamp() where id = $1 returning id"

pytestmark = pytest.mark.skipif(not (PROGRAMS / "psql").is_file(), reason="needs psql")


def at(url, *, host=None, role=None, database="tokensvc"):
    """Return the URL of a database of the cluster, as its administrator or as a role."""
    place = urlsplit(url)
    login = f"{role}:{PASSWORD}" if role else place.netloc.rpartition("@")[0]
    hosts = host or place.netloc.rpartition("@")[2]
    return urlunsplit(place._replace(netloc=f"{login}@{hosts}", path=f"/{database}"))


def make_database(cluster):
    """Make the database of a service, and its role; return the URL with all hosts."""
    ask(cluster.primary.url, f"create role {ROLE} login password '{PASSWORD}'")
    ask(cluster.primary.url, f"create database tokensvc owner {ROLE}")
    return at(cluster.url, role=ROLE)


@pytest.fixture(scope="module")
def clock(session_folder):
    """Postgres's clock."""
    return MovedClock(session_folder / "clock")


@pytest.fixture(scope="module")
def cluster(clock):
    with Cluster(clock.environment if FAKETIME else None) as opened:
        yield opened


@pytest.fixture(scope="module")
def service(cluster, new_shared_process):
    process = new_shared_process(
        TOKENSVC_DATABASE_URL=make_database(cluster), TOKENSVC_DRAIN_SECONDS="1"
    )
    process.wait_until_ready()
    yield process
    process.stop()


@pytest.fixture
def open_page(service, cluster):
    with opening() as opened:
        yield partial(opened, process=service, ADMIN_URL=at(cluster.primary.url))


def list_failing(process):
    """Return the checks that do not hold, as /readyz says it."""
    checks = call(f"{process.url}/readyz").json["checks"]
    return [name for name, holds in checks.items() if not holds]


def warnings(process):
    return call(f"{process.url}/readyz").json.get("warnings", [])


def unwrap(shown):
    """Return what a command prints without the ends of its lines."""
    return " ".join(shown.split())


def test_exchanges_fail_while_postgres_does_not_answer_and_go_on_after_it(open_page, cluster):
    page = open_page("exchanges-fail")
    key = new_key(page.process)
    cluster.primary.end(signal.SIGINT)
    wait_until(lambda: "database" in list_failing(page.process))
    assert json.loads(page.step())["checks"]["database"] is False
    assert "Connection refused" in page.run("select 1")
    cluster.primary.start()
    page.end()
    assert exchange(page.process.url, key.text)


@pytest.mark.skipif(FAKETIME is None, reason="needs libfaketime (Debian: faketime)")
def test_f42_a_wrong_clock_is_told_from_a_right_one_and_set_right(open_page, clock):
    page = open_page("wrong-clock")
    key = new_key(page.process)
    clock.ahead = AHEAD
    wait_until(lambda: list_failing(page.process) == ["clock"])
    assert try_exchange(page.process.url, key.text).status == 503
    here, there, ready = page.step().splitlines()
    shown = [datetime.fromisoformat(moment) for moment in (here, there)]
    assert AHEAD - PATIENCE < (shown[1] - shown[0]).total_seconds() < AHEAD + PATIENCE
    assert json.loads(ready)["checks"]["clock"] is False
    assert page.process.cli("key", "disable", key.id).returncode == 0
    clock.ahead = 0
    page.end()
    wait_until(lambda: "clock_believed_again" in page.process.errors)

    assert page.process.cli("key", "enable", key.id).returncode == 0
    answer = try_exchange(page.process.url, key.text)
    assert answer.status == 503
    assert "a moment that is still to come" in answer.json["error_description"]
    page.step(KEY_ID=key.id)
    assert exchange(page.process.url, read_key(page.process.folder / "successor.env"))


def read_key(path):
    (line,) = path.read_text().splitlines()
    return line.partition("=")[2].strip("'\"")


async def test_a_slot_that_nobody_reads_is_found_and_dropped(open_page):
    page = await asyncio.to_thread(open_page, "wal-slot")
    admin = page.words["ADMIN_URL"]
    connection = await connect(admin)
    await connection.execute("select pg_create_physical_replication_slot('left', true)")
    filler = "create table filler as select generate_series(1, 100000) as number"
    await connection.execute(filler, timeout=PATIENCE)
    assert re.search(r"left +\| f +\| reserved +\| \d+ (kB|MB)", await step(page, SLOT="left"))
    await step(page)
    await step(page)
    # Postgres reads its settings again when it comes to it.
    while (await asyncio.to_thread(page.end)).split() != ["0", "10GB"]:
        pass
    await connection.execute("drop table filler")
    await connection.close()


async def step(page, part="", **words):
    """Run a block beside this loop: the next one, or the one with this in it."""
    act = partial(page.run, part, **words) if part else partial(page.step, **words)
    return await asyncio.to_thread(act)


async def test_who_holds_a_lock_is_found_and_ended(open_page):
    page = await asyncio.to_thread(open_page, "locks")
    connection = await connect(page.words["ADMIN_URL"])
    await connection.execute("set idle_in_transaction_session_timeout = 0")
    await connection.execute("begin; listen news; lock table api_key_window in exclusive mode")
    pid = str(connection.get_server_pid())
    await until(lambda: "ledger" in list_failing(page.process))
    while f" {pid} " not in await step(page, "pg_blocking_pids"):
        pass  # those that wait give up and come again
    await asyncio.sleep(3)  # as long as the next block calls long
    assert f" {pid} " in await step(page)
    assert (await step(page, PID=pid)).strip() == "t"
    while (await asyncio.to_thread(page.end)).splitlines()[0] != "0":
        pass  # it ends a moment later, and those that waited go on
    assert (await step(page)).strip() == "0"
    connection.terminate()


async def hog(url):
    """Open connections until there are none; return them."""
    opened = []
    with contextlib.suppress(asyncpg.TooManyConnectionsError):
        while True:
            opened.append(await asyncpg.connect(url, timeout=PATIENCE))
    return opened


async def test_who_has_all_connections_is_found_and_kept_from_it(open_page):
    page = await asyncio.to_thread(open_page, "no-connections")
    leaked = await asyncio.to_thread(new_key, page.process)
    # The service is in use, so it has the connection that exchanges are judged by.
    await asyncio.to_thread(exchange, page.process.url, leaked.text)
    admin = page.words["ADMIN_URL"]
    await asyncio.to_thread(ask, admin, f"create role hog login password '{PASSWORD}'")
    opened = await hog(at(admin, role="hog"))
    while not (refused := await asyncio.to_thread(page.process.cli, "key", "list")).returncode:
        opened += await hog(at(admin, role="hog"))  # the service has left a connection meanwhile
    assert refused.returncode == 6
    assert "other sessions have all connections" in refused.stderr
    shown = await step(page, ROLE="hog")
    assert re.search(rf"^ hog +\|.*\| +{len(opened)}$", shown, re.MULTILINE)
    await step(page, "key revoke", KEY_ID=leaked.id)
    answer = await asyncio.to_thread(try_exchange, page.process.url, leaked.text)
    assert answer.status == 401
    idle = "usename = 'hog' and state_change < now() - interval '5 s'"  # as long as the page says
    count = f"select count(*) from pg_stat_activity where {idle}"
    await until(lambda: asyncio.to_thread(lambda: ask(admin, count) == len(opened)))
    assert (await step(page, "connection limit")).split()[-1] == str(len(opened))
    assert "ready" in await asyncio.to_thread(page.end)
    gone = "select not exists (select from pg_stat_activity where usename = 'hog')"
    await until(partial(asyncio.to_thread, ask, admin, gone))
    new = await hog(at(admin, role="hog"))
    assert len(new) == 20
    for connection in opened + new:
        connection.terminate()


async def mend_lost_rows(page, lost):
    """Do what the page says when a failover has lost a revocation and its event."""
    await until(lambda: "revocation_healed" in page.process.errors)
    shown = await step(page)
    assert "denylist_went_back" in shown
    assert lost.id in shown
    assert re.search(r"^status +whole", shown, re.MULTILINE)
    await step(page, "declare-reset")
    await step(page, "evidence.backup", EXPORT="evidence.jsonl")
    await step(page)
    assert re.search(r"^status +whole", await asyncio.to_thread(page.end), re.MULTILINE)


@pytest.mark.skipif(not can_replicate(), reason="needs Debian's postgresql, for pg_basebackup")
async def test_f44_the_older_of_two_primaries_is_found_and_stopped(open_page, cluster):
    page = await asyncio.to_thread(open_page, "two-primaries")
    process = page.process
    key, spared, lost = await asyncio.to_thread(new_keys, process, 3)
    await cluster.add_standby(synchronous=False)
    await cluster.wait_for_standby()
    cluster.standby.end(signal.SIGINT)
    (cluster.standby.data / "standby.signal").unlink()
    await asyncio.to_thread(cluster.standby.start)
    await until(lambda: "none is used" in str(warnings(process)))
    assert "nothing tells which of them is the primary" in unwrap(await step(page))
    for node in (cluster.primary, cluster.standby):
        events = await step(page, "from audit_event", HOST_URL=at(node.url))
        assert re.search(r"\d+ \| .* \| keys.create", events)
    cluster.standby.end(signal.SIGINT)
    await until(lambda: warnings(process) == [])

    await cluster.add_standby(synchronous=False)
    await cluster.wait_for_standby()
    await cluster.cut()
    assert await asyncio.to_thread(revoke, process.url, lost.text) == 200
    cluster.primary.end(signal.SIGKILL)
    await cluster.promote()
    await mend_lost_rows(await asyncio.to_thread(open_page, "lost-rows"), lost)
    await asyncio.to_thread(cluster.standby.start)  # the old primary comes back
    await until(lambda: "the newest is used" in str(warnings(process)))
    assert f"127.0.0.1:{cluster.primary.port} is the newest" in unwrap(await step(page, "doctor"))
    refused = await asyncio.to_thread(process.cli, "key", "revoke", "--yes", spared.id)
    assert refused.returncode == 6
    old_url = at(cluster.standby.url)
    await asyncio.to_thread(ask, old_url, DISABLE, spared.id)  # somebody does it there by hand

    assert "keys.create" in await step(page, "from audit_event", HOST_URL=old_url)
    cluster.standby.end(signal.SIGINT)
    await until(lambda: warnings(process) == [])
    await step(page, "key revoke", KEY_ID=spared.id)
    shown = await asyncio.to_thread(page.end)
    assert re.search(r"^ok +two primaries", shown, re.MULTILINE)
    assert "warnings" not in shown

    cluster.primary.end(signal.SIGKILL)  # for good
    await asyncio.to_thread(cluster.standby.start)
    await until(lambda: "only an old primary" in str(warnings(process)))
    assert "is an old primary" in unwrap(await step(page, "doctor"))
    await step(page, "timelines.json")
    await asyncio.to_thread(process.stop)
    await asyncio.to_thread(process.start)
    assert "warnings" not in await asyncio.to_thread(page.end)
    assert await asyncio.to_thread(exchange, process.url, key.text)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_f24_a_full_disk_is_found_and_gets_room(new_process, tmp_path):
    with Cluster() as cluster, opening() as open_page:
        cluster.primary.end(signal.SIGINT)
        with small_disk(cluster.primary, "base", "80m") as base:
            cluster.primary.start()
            process = new_process(TOKENSVC_DATABASE_URL=make_database(cluster))
            process.wait_until_ready()
            ask(cluster.primary.url, "create database tokensvc_before_monday")
            doomed = new_keys(process, 200)
            filler = fill(base, 40_960)  # stands for an old dump
            refused = next(key for key in doomed if revoke(process.url, key.text) == 503)

            page = open_page("disk-full", process, ADMIN_URL=at(cluster.primary.url))
            assert re.search(rf" 100% {base}$", page.step(), re.MULTILINE)
            filler.unlink()
            assert "tokensvc_before_monday|" in page.run("pg_database_size")
            page.step(FORMER="tokensvc_before_monday")
            page.run("key revoke", KEY_ID=refused.id)
            assert "audit_event|" in page.run("pg_total_relation_size")
            page.step(EXPORT=tmp_path / "audit.jsonl", DATE="2026-01-01")
            assert not re.search(rf" 100% {base}$", page.end(), re.MULTILINE)
            assert revoke(process.url, doomed[-1].text) == 200
            process.stop()
