"""The copies of a process: kept fresh by wake-ups and by polling, and never believed too long."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import pytest
from testbed.waiting import until
from tests import endings
from tests.factories import NOW
from tests.integration.things import ACTOR, make_key

from tokensvc.core.errors import UnavailableError
from tokensvc.issuer.admin import accounts, audiences
from tokensvc.issuer.mirror.mirror import Mirror
from tokensvc.issuer.postgres_clock import MAX_AGE_SECONDS
from tokensvc.issuer.service import open_service
from tokensvc.store.pool import open_database
from tokensvc.store.primary import connect
from tokensvc.store.queries import load_queries

LISTENERS = (
    "select pid from pg_stat_activity where datname = current_database() and query ilike 'listen%'"
)


@asynccontextmanager
async def running(mirror):
    """Run a mirror for a while."""
    await mirror.refresh_once()
    task = asyncio.create_task(mirror.run())
    yield task
    assert not task.done(), "the mirror must never give up"
    task.cancel()
    await asyncio.wait([task])


@pytest.fixture
def mirror(database, settings, started):
    return Mirror(database, settings, started.master_key)


async def test_before_its_first_look_a_mirror_knows_nothing_and_says_so(mirror):
    assert mirror.postgres_clock.age_seconds == float("inf")
    for ask in (
        lambda: mirror.postgres_clock.now,
        lambda: mirror.postgres_clock.at,
        lambda: mirror.signers.find("ES256", NOW),
    ):
        with pytest.raises(UnavailableError) as caught:
            ask()
        assert caught.value.reason == "mirror_stale"


async def test_postgres_compiles_nothing_though_it_has_not_counted_the_rows_of_a_table(database):
    async with database.connection() as connection:
        plan = await connection.fetch("explain " + load_queries("feed_head")["list_with_iat"])
    assert "JIT" not in str(plan)


@pytest.fixture
def seldom(database, settings, started):
    """A mirror that polls so seldom that a test sees only what NOTIFY wakes it for."""
    return Mirror(database, settings, started.master_key, poll_seconds=3600)


async def test_a_change_is_seen_by_notify_without_a_poll(seldom, database, settings, connection):
    async with running(seldom):
        await until(lambda: connection.fetchval(f"select exists ({LISTENERS})"))
        for number in range(5):
            await audiences.create_audience(database, settings, f"audience-{number}", actor=ACTOR)
            await until(lambda number=number: f"audience-{number}" in seldom.audiences)


async def test_f21_a_listener_that_was_cut_off_comes_back(seldom, database, connection):
    async with running(seldom):
        await until(lambda: connection.fetchval(f"select exists ({LISTENERS})"))
        lost = await connection.fetchval(LISTENERS)
        await connection.execute("select pg_terminate_backend($1)", lost)
        await until(lambda: connection.fetchval(f"select exists ({LISTENERS} and pid <> $1)", lost))
        account = await accounts.create_account(database, "Orders", actor=ACTOR)
        await endings.suspend_account(database, account.id, actor=ACTOR)
        await until(lambda: seldom.denylist.log.head.seq == 1)


async def test_f23_the_listener_holds_no_transaction_open_so_the_queue_does_not_fill(
    seldom, database, connection
):
    async with running(seldom):
        await until(lambda: connection.fetchval(f"select exists ({LISTENERS})"))
        account = (await accounts.create_account(database, "Orders", actor=ACTOR)).id
        for _ in range(50):
            await endings.suspend_account(database, account, actor=ACTOR)
            await accounts.resume_account(database, account, actor=ACTOR)
        await until(lambda: seldom.denylist.log.head.seq == 50)
        open_transactions = f"{LISTENERS} and xact_start is not null"
        assert await connection.fetchval(f"select exists ({open_transactions})") is False
        assert await connection.fetchval("select pg_notification_queue_usage()") == 0


async def test_f21_every_change_is_seen_by_poll_without_a_notification(mirror, connection):
    async with running(mirror):
        await connection.execute(
            "insert into audience (name, description, created_at)"
            " values ('quiet', '', clock_timestamp())"
        )
        await connection.execute(
            "update feed_head set seq = seq + 1, tag = 'quiet' where topic = 'audience'"
        )
        await until(lambda: "quiet" in mirror.audiences)


async def test_f19_a_copy_that_is_too_old_signs_nothing(mirror):
    await mirror.refresh_once()
    assert mirror.signers.find("ES256", mirror.postgres_clock.now).alg == "ES256"
    with pytest.raises(UnavailableError) as caught:
        mirror.signers.find("RS256", mirror.postgres_clock.now)
    assert caught.value.reason == "no_signing_key"
    last = mirror.postgres_clock
    last.renew(last.at, last.on - MAX_AGE_SECONDS - 1)
    with pytest.raises(UnavailableError) as caught:
        mirror.signers.find("ES256", mirror.postgres_clock.now)
    assert caught.value.reason == "mirror_stale"


async def test_the_clock_of_a_mirror_is_that_of_postgres_and_runs_on(mirror, connection):
    before = await connection.fetchval("select clock_timestamp()")
    await mirror.refresh_once()
    after = await connection.fetchval("select clock_timestamp()")
    assert before <= mirror.postgres_clock.at <= after
    # The mirror reckons from when it asked, a little before Postgres looked at its clock.
    begun = time.monotonic()
    first = mirror.postgres_clock.now
    await asyncio.sleep(0.2)
    last = mirror.postgres_clock.now
    assert 0.2 <= (last - first).total_seconds() <= time.monotonic() - begun + 0.001


async def test_a_wait_for_a_change_ends_with_the_change_the_time_or_the_release(mirror, database):
    key = await make_key(database)
    await mirror.refresh_once()
    started = time.monotonic()
    await mirror.denylist.wait_for_change(0.05)
    assert time.monotonic() - started > 0.04
    waiting = asyncio.create_task(mirror.denylist.wait_for_change(20))
    await asyncio.sleep(0)
    await endings.suspend_account(database, key.listed.record.account_id, actor=ACTOR)
    await mirror.refresh_once()
    await asyncio.wait_for(waiting, 10)
    waiting = asyncio.create_task(mirror.denylist.wait_for_change(20))
    await asyncio.sleep(0)
    assert mirror.denylist.waiting == 1
    mirror.denylist.release()
    await asyncio.wait_for(waiting, 10)
    await asyncio.wait_for(mirror.denylist.wait_for_change(20), 10)
    assert mirror.denylist.waiting == 0


async def test_an_entry_that_commits_between_two_looks_is_never_lost_or_doubled(mirror, database):
    async with running(mirror):
        ids = []
        for _ in range(30):
            account = await accounts.create_account(database, "Orders", actor=ACTOR)
            await endings.suspend_account(database, account.id, actor=ACTOR)
            ids.append(account.id)
        await until(lambda: mirror.denylist.log.head.seq == 30)
        records = mirror.denylist.log.cut(None).records
        assert [revocation.value for revocation in records.revocations()] == ids


async def test_many_who_refresh_one_copy_at_once_do_not_turn_it_back(mirror, database):
    await mirror.refresh_once()
    account = await accounts.create_account(database, "Orders", actor=ACTOR)
    seen = []

    async def refresh():
        for _ in range(20):
            await mirror.refresh_once()
            seen.append((mirror.denylist.log.head.seq, mirror.postgres_clock.at))

    async def revoke():
        for _ in range(20):
            await endings.suspend_account(database, account.id, actor=ACTOR)
            await accounts.resume_account(database, account.id, actor=ACTOR)

    await asyncio.gather(revoke(), *(refresh() for _ in range(6)))
    await mirror.refresh_once()
    rows = [record.position.seq for record in mirror.denylist.log]
    assert rows == list(range(1, 21)), "each entry once, in order"
    assert [head for head, _ in seen] == sorted(head for head, _ in seen)
    assert [at for _, at in seen] == sorted(at for _, at in seen)


@pytest.fixture
async def role(connection, database_url):
    """A role of its own that may do all the service needs; yields its name and the URL with it."""
    name = "role_" + urlsplit(database_url).path.strip("/")
    await connection.execute(f"create role {name} superuser login password 'first'")
    parts = urlsplit(database_url)
    url = urlunsplit(parts._replace(netloc=f"{name}:first@{parts.hostname or ''}"))
    yield name, url
    await connection.execute(
        f"select pg_terminate_backend(pid) from pg_stat_activity where usename = '{name}'"
    )
    await connection.execute(f"drop role {name}")


async def test_a_login_that_is_refused_for_a_while_is_an_outage_and_ends(
    role, settings, started, connection
):
    name, url = role
    del started
    async with open_service(settings, url) as service:
        await until(lambda: connection.fetchval(f"select exists ({LISTENERS})"))
        await connection.execute(f"alter role {name} nologin")
        await connection.execute(
            f"select pg_terminate_backend(pid) from pg_stat_activity where usename = '{name}'"
        )
        with pytest.raises(UnavailableError):
            await service.mirror.refresh_once()
        refused_at = service.mirror.postgres_clock.at
        await asyncio.sleep(1.2)  # the listener tries again after a second
        assert service.mirror.postgres_clock.at == refused_at
        await connection.execute(f"alter role {name} login")
        await until(lambda: service.mirror.postgres_clock.at > refused_at)
        await until(lambda: connection.fetchval(f"select exists ({LISTENERS})"))


@pytest.mark.parametrize("spoilt", ["password", "database", "user"])
async def test_a_url_that_postgres_refuses_is_told_as_unavailable(spoilt, role, connection):
    del connection
    name, url = role
    parts = urlsplit(url)
    bad = {
        "password": parts._replace(netloc=f"{name}:wrong@"),
        "database": parts._replace(path="/nowhere"),
        "user": parts._replace(netloc="nobody:first@"),
    }[spoilt]
    database = await open_database(urlunsplit(bad), max_size=2)
    with pytest.raises(UnavailableError) as caught:
        async with database.connection() as connected:
            await connected.fetchval("select 1")
    assert "wrong" not in caught.value.message
    with pytest.raises(UnavailableError):
        await database.connect_apart()
    await database.close()


async def test_a_connection_whose_making_is_cancelled_is_closed(database_url, connection):
    """A service that stops while its listener connects must not leave a session behind."""
    mine = "select count(*) from pg_stat_activity where datname = current_database()"
    before = await connection.fetchval(mine)
    for pause in range(12):
        task = asyncio.create_task(connect(database_url))
        await asyncio.wait([task], timeout=pause * 0.0004)
        task.cancel()
        (result,) = await asyncio.gather(task, return_exceptions=True)
        if not isinstance(result, BaseException):
            await result.close()
    del task, result
    await until(lambda: _equals(connection, mine, before), 2)


async def _equals(connection, statement, value):
    return await connection.fetchval(statement) == value
