"""The denylist as a table: its numbers, its cleaning, its locks, and what it refuses."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from testbed.waiting import until
from tests import endings
from tests.integration.things import ACTOR, make_key, patiently
from tests.rows import list_denylist, load_key

from tokensvc.core.errors import OutcomeUnknownError, UnavailableError
from tokensvc.issuer.admin import audiences
from tokensvc.issuer.cleaning import clean_denylist_once
from tokensvc.store.denylist import (
    append_revocation,
    find_tag,
    is_revoked,
    list_of,
    read_after,
)
from tokensvc.store.feed_head import list_heads
from tokensvc.store.primary import connect

SOON = timedelta(minutes=10)
WAITING = (
    "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
)


async def append(connection, value, *, expires_in=SOON):
    now = await connection.fetchval("select clock_timestamp()")
    return await append_revocation(
        connection, "token_revoked", value, watermark=None, expires_at=now + expires_in
    )


async def list_after(connection, seq, now):
    return [record async for part in read_after(connection, seq, now) for record in part]


async def test_numbers_are_gapless_in_the_order_of_commits_even_beside_a_slow_transaction(
    connection, database_url
):
    slow, quick = await connect(database_url), await connect(database_url)
    transaction = slow.transaction()
    await transaction.start()
    first = await append(slow, "slow")
    behind = asyncio.create_task(append(quick, "quick"))
    # It must wait, or a reader would go past the slow one.
    await until(lambda: connection.fetchval(f"select exists ({WAITING})"))
    now = await connection.fetchval("select clock_timestamp()")
    assert await list_after(connection, 0, now) == []
    await transaction.commit()
    assert [first.seq, (await behind).seq] == [1, 2]
    assert [row.revocation.value for row in await list_after(connection, 0, now)] == [
        "slow",
        "quick",
    ]
    for opened in (slow, quick):
        await opened.close()


async def test_f33_the_table_is_read_some_entries_at_a_time(connection):
    for number in range(1, 8):
        await append(connection, f"j{number}", expires_in=SOON if number != 3 else -SOON)
    now = await connection.fetchval("select clock_timestamp()")
    parts = [part async for part in read_after(connection, 1, now, at_once=2)]
    assert [[r.position.seq for r in part] for part in parts] == [[2, 4], [5, 6], [7]]
    together = [record for part in parts for record in part]
    values = [record.revocation.value for record in together]
    assert together == await list_of(connection, values), "with every microsecond"
    assert [part async for part in read_after(connection, 7, now, at_once=2)] == []


async def test_a_revocation_that_is_rolled_back_leaves_no_gap(connection):
    with pytest.raises(RuntimeError):
        await _append_and_fail(connection)
    assert (await append(connection, "kept")).seq == 1


async def _append_and_fail(connection):
    async with connection.transaction():
        await append(connection, "lost")
        raise RuntimeError


async def test_a_hundred_revocations_at_once_get_a_hundred_numbers_in_a_row(database):
    async def one(number):
        async with database.transaction() as connection:
            return await append(connection, f"jti-{number}")

    positions = await asyncio.gather(
        *(patiently(lambda number=number: one(number)) for number in range(100))
    )
    assert sorted(position.seq for position in positions) == list(range(1, 101))
    assert len({position.tag for position in positions}) == 100
    async with database.connection() as connection:
        heads, now = await list_heads(connection)
        assert heads["denylist"] == max(positions, key=lambda position: position.seq)
        rows = await list_after(connection, 40, now)
        assert [row.position.seq for row in rows] == list(range(41, 101))
        assert await find_tag(connection, 1) == next(
            position.tag for position in positions if position.seq == 1
        )
        assert await find_tag(connection, 101) is None
        assert await is_revoked(connection, "jti", "jti-5")
        assert not await is_revoked(connection, "key", "jti-5")


async def test_cleaning_keeps_every_entry_that_has_not_expired(database, connection):
    for number in range(5):
        await append(connection, f"expired-{number}", expires_in=timedelta(seconds=-1))
        await append(connection, f"live-{number}", expires_in=timedelta(seconds=5))
    now = await connection.fetchval("select clock_timestamp()")
    assert await clean_denylist_once(database, now) == 5
    assert await clean_denylist_once(database, now) == 0
    left = [
        row["value"] for row in await connection.fetch("select value from denylist order by seq")
    ]
    assert left == [f"live-{number}" for number in range(5)]
    assert [row.revocation.value for row in await list_denylist(database)] == left


async def test_cleaning_goes_in_batches_until_nothing_is_left(database, connection):
    await connection.execute(
        "insert into denylist (seq, tag, kind, value, created_at, expires_at, ending, healed)"
        " select n, n::text, 'jti', n::text, clock_timestamp(),"
        " clock_timestamp() - interval '1 s', 'token_revoked', false from generate_series(1, 35) n"
    )
    soon = datetime.now(UTC) + timedelta(seconds=5)
    assert await clean_denylist_once(database, soon, at_once=10) == 35
    assert await connection.fetchval("select count(*) from denylist") == 0


async def test_a_watermark_lives_as_long_as_any_token_that_it_covers(database, settings, started):
    del started
    await audiences.create_audience(
        database, settings, "long", token_life=timedelta(seconds=3000), actor=ACTOR
    )
    await audiences.delete_audience(database, settings, "long", actor=ACTOR)  # its tokens live on
    key = (await make_key(database)).listed.record
    await endings.revoke_key(database, key.id, actor=ACTOR)
    await endings.suspend_account(database, key.account_id, actor=ACTOR)
    for row in await list_denylist(database):
        assert row.revocation.upto is not None
        assert row.revocation.exp >= row.revocation.upto + 3000 + 120


async def test_f22_a_revocation_that_waits_too_long_for_a_lock_gives_up_and_changes_nothing(
    database, connection
):
    key = (await make_key(database)).listed.record
    async with connection.transaction():
        await connection.execute("select from feed_head where topic = 'denylist' for update")
        with pytest.raises(UnavailableError) as caught:
            await endings.revoke_key(database, key.id, actor=ACTOR)
        assert caught.value.reason == "database_LockNotAvailableError"
        assert not isinstance(caught.value, OutcomeUnknownError)
    assert (await load_key(database, key.id)).state == "active"
    assert (await endings.revoke_key(database, key.id, actor=ACTOR)).listed.state == "revoked"


CUT_AT_COMMIT = """
create function cut() returns trigger language plpgsql as $$
begin
    perform pg_terminate_backend(pg_backend_pid());
    return null;
end
$$;
create constraint trigger cut after insert on denylist
    deferrable initially deferred for each row execute function cut();
"""


async def test_a_commit_whose_answer_was_lost_is_told_apart_and_can_be_repeated(
    database, connection
):
    key = (await make_key(database)).listed.record
    await connection.execute(CUT_AT_COMMIT)
    with pytest.raises(
        OutcomeUnknownError, match=r"it may have happened\. Repeat the request: that is safe"
    ) as caught:
        await endings.revoke_key(database, key.id, actor=ACTOR)
    assert caught.value.code == "revocation_pending"
    await connection.execute("drop trigger cut on denylist")
    assert (await endings.revoke_key(database, key.id, actor=ACTOR)).listed.state == "revoked"
    assert len(await list_denylist(database)) == 1


async def test_a_commit_whose_answer_was_lost_is_503_revocation_pending(
    client, started, connection
):
    await connection.execute(CUT_AT_COMMIT)
    answer = await client.post("/v1/revoke", data={"token": started.admin.key.text})
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert (await answer.json())["error"] == "revocation_pending"


DENYLIST_ROW = (
    "insert into denylist"
    " (seq, tag, kind, value, watermark, created_at, expires_at, ending, healed)"
    " values (1, 't', {kind}, 'v', {watermark}, clock_timestamp(), clock_timestamp(),"
    " {ending}, false)"
)


KEY_OF_NO_ACCOUNT = (
    "insert into api_key"
    " (id, account_id, digest, hint, name, description, capabilities, created_at, window_id)"
    " values ('key_0000000000000000', 'acct_0000000000000000', sha256('x'), '', '', '',"
    " '{a}', clock_timestamp(), 'key_0000000000000000')"
)


def denylist_row(kind, watermark, ending):
    return DENYLIST_ROW.format(kind=f"'{kind}'", watermark=watermark, ending=f"'{ending}'")


async def test_the_schema_itself_refuses_rows_that_make_no_sense(connection, subtests):
    for statement, constraint in (
        ("insert into account values ('acct_short', 'x', clock_timestamp())", "account_id_form"),
        (denylist_row("jti", "clock_timestamp()", "token_revoked"), "denylist_watermark"),
        (denylist_row("key", "null", "key_revoked"), "denylist_watermark"),
        (denylist_row("thing", "null", "key_revoked"), "denylist_kind_known"),
        (denylist_row("jti", "null", "by hand"), "denylist_ending_known"),
        ("insert into feed_head values ('other', 0, 't')", "feed_head_topic_known"),
        ("insert into issuance values ('1 s', false)", "issuance_only_row"),
        ("insert into issuance values ('1 s', true)", "issuance_pkey"),
        (
            "insert into audience values ('x', '', interval '0', clock_timestamp())",
            "audience_token_life_positive",
        ),
        (
            "insert into signing_key values ('k', 'HS256', '{}', '', clock_timestamp())",
            "signing_key_alg_known",
        ),
        (KEY_OF_NO_ACCOUNT, "api_key_account_fkey"),
    ):
        with subtests.test(msg=str(statement)), pytest.raises(Exception, match=constraint):
            await connection.execute(statement)
