"""Batches of API keys have a plan of their own, which judges and counts as the general one."""

from __future__ import annotations

import random

import pytest
from testbed.keys import add_keys_to
from testbed.waiting import until
from tests.integration.exchanges import expect_anything

from tokensvc.core.ledger import Question
from tokensvc.store.ledger import LedgerConnection

GENERAL, OF_KEYS = "judge_exchanges", "judge_exchanges_2"
AT = 8  # the place of `at` in a row
COUNTS = """
select key_id, minute, minute_count, day, day_count from api_key_window
union all
select account_id, minute, minute_count, day, day_count from account_window
order by 1
"""
SCANS = """
select sum(seq_scan) as whole, sum(idx_scan) as by_index from pg_stat_user_tables
where relname in ('api_key', 'api_key_window', 'account', 'account_window')
"""
# What may have happened to a key or an account; each with the chance that it has.
MOMENTS = (
    "clock_timestamp() - interval '1 second'",
    "date_trunc('second', clock_timestamp())",
    "clock_timestamp() + interval '1 hour'",
)
WINDOWS = {
    "minute": (
        "'-infinity'",
        "date_trunc('minute', clock_timestamp()) - interval '1 minute'",
        "date_trunc('minute', clock_timestamp())",
        "date_trunc('minute', clock_timestamp()) + interval '1 minute'",
        "date_trunc('minute', clock_timestamp()) + interval '3 minutes'",
    ),
    "day": (
        "'-infinity'",
        "date_trunc('day', clock_timestamp(), 'UTC') - interval '1 day'",
        "date_trunc('day', clock_timestamp(), 'UTC')",
        "date_trunc('day', clock_timestamp(), 'UTC') + interval '1 day'",
        "date_trunc('day', clock_timestamp(), 'UTC') + interval '3 days'",
    ),
}


@pytest.fixture
async def world(database_url, connection):
    """Nine keys in three accounts; the last two are counted with the one before them."""
    await add_keys_to(database_url, 9)
    await connection.execute(
        """
        update api_key set account_id = (
            select array_agg(id order by id) from account
        )[1 + place % 3]
        from (select id, (row_number() over (order by id))::int as place from api_key) as placed
        where placed.id = api_key.id
        """
    )
    return connection


async def change_at_random(connection, chance):
    """Bring all keys, accounts and windows into some state."""
    for table in ("api_key", "account"):
        for (thing,) in await connection.fetch(f"select id from {table} order by id"):
            changes = {"per_minute": chance.choice(["null", "1", "3", "10"])}
            changes |= {"per_day": chance.choice(["null", "5", "1000"])}
            states = {"api_key": ["disabled_at", "revoked_at", "expires_at", "deleted_at"]}
            for column in (*states.get(table, ["suspended_at", "deleted_at"]), "watermark"):
                if chance.random() < 0.08:
                    changes[column] = chance.choice(MOMENTS)
            if table == "api_key" and chance.random() < 0.1:
                changes |= {"audiences": "'{api}'"}
            if table == "api_key" and chance.random() < 0.1:
                changes |= {"capabilities": "'{tokensvc:read}'", "claims": """'{"a": 1}'"""}
            said = ", ".join(f"{column} = {value}" for column, value in changes.items())
            await connection.execute(f"update {table} set {said} where id = $1", thing)
    for table, column in (("api_key_window", "key_id"), ("account_window", "account_id")):
        for (thing,) in await connection.fetch(f"select {column} from {table} order by 1"):
            said = ", ".join(
                f"{window} = {chance.choice(moments)}, {window}_count = {chance.choice([0, 1, 4])}"
                for window, moments in WINDOWS.items()
            )
            await connection.execute(f"update {table} set {said} where {column} = $1", thing)


async def judge(connection, function, digests, counts):
    """Let a function judge; return (what it says, what it has counted), and undo it."""
    undo = connection.transaction()
    await undo.start()
    rows = await connection.fetch(
        f"select * from {function}($1, $2, null, null, null, null, null) order by 1",
        b"".join(digests),
        counts,
    )
    counted = await connection.fetch(COUNTS)
    await undo.rollback()
    moments = {row[AT] for row in rows}
    return [(*row[:AT], *row[AT + 1 :]) for row in rows], counted, moments


async def judge_with_both(connection, digests, counts):
    """Let both judge within one minute, and within one second."""
    while True:
        said, counted, at = await judge(connection, GENERAL, digests, counts)
        again, counted_again, at_again = await judge(connection, OF_KEYS, digests, counts)
        if len({moment.replace(microsecond=0) for moment in at | at_again}) <= 1:
            return (said, counted), (again, counted_again)


@pytest.mark.parametrize("seed", range(12))
async def test_both_say_and_count_the_same_of_any_batch(world, seed):
    chance = random.Random(seed)
    everything = world.transaction()
    await everything.start()
    await change_at_random(world, chance)
    # In every third world, two keys are counted together.
    if seed % 3 == 0:
        await world.execute(
            "update api_key set predecessor_id = first.id, window_id = first.id from ("
            "select account_id, min(id) as id, max(id) as last from api_key group by account_id"
            ") as first where api_key.id = first.last"
        )
    known = [row[0] for row in await world.fetch("select digest from api_key order by id")]
    for _ in range(8):
        digests = chance.sample([*known, b"u" * 32, b"v" * 32], chance.randint(1, len(known)))
        counts = [chance.choice([0, 1, 1, 2, 7]) for _ in digests]
        if seed % 4 == 0:  # a key that asks for an unknown audience as well
            digests, counts = [*digests, digests[0]], [*counts, 0]
        general, of_keys = await judge_with_both(world, digests, counts)
        assert of_keys == general
    await everything.rollback()


async def test_a_batch_finds_its_rows_by_an_index_however_many_there_are(
    database, database_url, connection
):
    await add_keys_to(database_url, 2000)  # as many as make whole tables look cheap to read
    digests = await connection.fetch("select digest from api_key limit 3")
    await connection.execute("select pg_stat_force_next_flush()")  # of what was just read
    before = await connection.fetchrow(SCANS)
    ledger = LedgerConnection(database)
    questions = {Question(digest, None, None, True): 1 for (digest,) in digests}
    verdicts, _ = await ledger.judge_batch(questions, expect_anything)
    assert len(verdicts) == len(questions)
    ledger.close()  # its session tells what it has read when it ends

    async def has_told():
        return (await connection.fetchrow(SCANS))["by_index"] > before["by_index"]

    await until(has_told)
    assert (await connection.fetchrow(SCANS))["whole"] == before["whole"]
