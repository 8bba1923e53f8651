"""Watching the denylist by its table."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tokensvc.core.denylist.position import Position
from tokensvc.issuer.revoking.watching import DenylistWatcher
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
