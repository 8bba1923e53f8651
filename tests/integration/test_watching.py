"""Watching the denylist by its table, and by the copy of a service."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tokensvc.core.denylist.position import Position
from tokensvc.core.errors import UnavailableError
from tokensvc.issuer.mirror.mirror import Mirror
from tokensvc.issuer.postgres_clock import FRESH_SECONDS
from tokensvc.issuer.revoking.watching import DenylistWatcher, watch_copy, watch_table
from tokensvc.store.denylist import append_revocation, delete_expired


@pytest.fixture
def append(connection):
    async def add(value, *, life=timedelta(minutes=10)):
        now = await connection.fetchval("select clock_timestamp()")
        return await append_revocation(
            connection, "token_revoked", value, watermark=None, expires_at=now + life
        )

    return add


async def look(watcher, database):
    found = await watcher.look_once(database)
    return [row.revocation.value for row in found.records], found.went_back


async def test_what_was_there_before_is_not_shown_and_what_comes_is_shown_once(database, append):
    await append("old")
    watcher = DenylistWatcher()
    assert await look(watcher, database) == ([], False)
    await append("one")
    last = await append("two")
    found = await watcher.look_once(database)
    assert ([row.revocation.value for row in found.records], found.position) == (
        ["one", "two"],
        last,
    )
    assert await look(watcher, database) == ([], False)
    await append("three")
    assert await look(watcher, database) == (["three"], False)


async def test_f42_what_is_new_is_shown_though_a_clock_that_is_ahead_calls_it_expired(
    database, append
):
    watcher = DenylistWatcher()
    assert await look(watcher, database) == ([], False)
    await append("one", life=-timedelta(minutes=50))
    assert await look(watcher, database) == (["one"], False)


async def test_it_begins_in_an_empty_list_too(database, append):
    watcher = DenylistWatcher()
    assert await look(watcher, database) == ([], False)
    await append("first")
    assert await look(watcher, database) == (["first"], False)


async def test_it_goes_on_after_a_position(database, append):
    await append("one")
    position = await append("two")
    await append("three")
    assert await look(DenylistWatcher(position), database) == (["three"], False)


@pytest.mark.parametrize("refilled", [0, 1, 2])
async def test_a_history_that_goes_back_is_told_and_everything_is_shown_again(
    refilled, database, append, connection
):
    watcher = DenylistWatcher()
    await look(watcher, database)
    kept = await append("kept")
    await append("lost")
    await look(watcher, database)
    await connection.execute("delete from denylist where seq > 1")
    await connection.execute(
        "update feed_head set seq = 1, tag = $1 where topic = 'denylist'", kept.tag
    )
    again = [f"again-{number}" for number in range(refilled)]
    for value in again:
        await append(value)
    assert await look(watcher, database) == (["kept", *again], True)
    await append("new")
    assert await look(watcher, database) == (["new"], False)


async def test_an_entry_that_was_lost_before_its_time_is_a_history_that_went_back(
    database, append, connection
):
    watcher = DenylistWatcher()
    await look(watcher, database)
    await append("here")
    await look(watcher, database)
    await connection.execute("delete from denylist")
    await append("next")
    assert await look(watcher, database) == (["next"], True)


async def test_an_entry_that_the_cleaner_collects_is_not(database, append, connection):
    watcher = DenylistWatcher()
    await look(watcher, database)
    await append("short", life=timedelta(seconds=0.3))
    assert await look(watcher, database) == (["short"], False)
    await connection.execute("select pg_sleep(1.1)")
    now = await connection.fetchval("select clock_timestamp()")
    assert await delete_expired(connection, now, 10) == 1
    await append("next")
    assert await look(watcher, database) == (["next"], False)


async def test_entries_that_expired_before_they_were_seen_are_passed_over(database, append):
    watcher = DenylistWatcher()
    await look(watcher, database)
    last = await append("expired", life=timedelta(seconds=-1))
    assert (await watcher.look_once(database)).position == last
    await append("next")
    assert await look(watcher, database) == (["next"], False)


async def test_of_a_position_that_is_not_there_any_more_nothing_can_be_told(database, append):
    await append("one")
    assert await look(DenylistWatcher(Position(0, "from-elsewhere")), database) == (["one"], True)


@pytest.fixture
async def mirror(database, settings, started):
    """The copies of a service, which are refreshed only when they must be."""
    copies = Mirror(database, settings, started.master_key)
    await copies.refresh_once()
    return copies


async def test_a_copy_says_what_the_table_says(database, append, mirror, subtests):
    one, _, three = [await append(value) for value in ("one", "two", "three")]
    elsewhere = Position(0, "from-elsewhere")
    # Nobody has told the copy of these three, so it must ask for what it does not know.
    for name, after in (("end", None), ("one", one), ("three", three), ("elsewhere", elsewhere)):
        with subtests.test(msg=name):
            looks = [await watch_table(database, after, 0), await watch_copy(mirror, after, 0)]
            told = [
                (look.position, [row.revocation for row in look.records], look.went_back)
                for look in looks
            ]
            assert told[1] == told[0]


async def test_all_who_wait_hear_of_a_change_that_the_copy_hears_of(append, mirror):
    begin = (await watch_copy(mirror, None, 0)).position
    waiting = [asyncio.create_task(watch_copy(mirror, begin, 20)) for _ in range(50)]
    await asyncio.sleep(0)
    last = await append("one")
    await mirror.refresh_once()
    for look in await asyncio.gather(*waiting):
        assert ([row.revocation.value for row in look.records], look.position) == (["one"], last)


async def test_who_waits_asks_postgres_nothing_and_is_let_go_when_the_process_drains(
    database, mirror
):
    begin = (await watch_copy(mirror, None, 0)).position
    waiting = [asyncio.create_task(watch_copy(mirror, begin, 20)) for _ in range(50)]
    await asyncio.sleep(0)
    await database.close()
    mirror.denylist.release()
    async with asyncio.timeout(FRESH_SECONDS):
        assert {look.position for look in await asyncio.gather(*waiting)} == {begin}


async def test_a_copy_that_cannot_be_confirmed_says_nothing(database, mirror):
    await database.close()
    with pytest.raises(UnavailableError):
        await watch_copy(mirror, None, 0)
    await asyncio.sleep(FRESH_SECONDS + 0.1)
    with pytest.raises(UnavailableError):
        await watch_copy(mirror, mirror.denylist.log.head, 0)
