"""Usage is written in batches, survives an outage, and is forgotten after its time."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from tests.integration.things import make_key, read_use
from tests.rows import load_key

from tokensvc.core.errors import OutcomeUnknownError, UnavailableError
from tokensvc.core.usage import LastUse
from tokensvc.issuer.cleaning import clean_usage_once
from tokensvc.issuer.exchange.usage import UsageRecorder
from tokensvc.store.migrate import load_migrations, migrate
from tokensvc.store.usage import list_usage_of_all


def use(at, audience="api"):
    return LastUse(int(at.timestamp()), "10.0.0.0/24", audience)


@pytest.fixture
async def now(connection):
    return await connection.fetchval("select clock_timestamp()")


async def test_sums_of_several_processes_add_up_and_the_last_use_is_the_newest(database, now):
    key = await make_key(database)
    key_id = key.listed.record.id
    one, two = UsageRecorder(database), UsageRecorder(database)
    for _ in range(3):
        one.add_issued(key_id, use(now, "newer"))
        two.add_issued(key_id, use(now - timedelta(seconds=1), "older"))
    two.add(key_id, "disabled", now)
    for recorder in (one, two, one):
        await recorder.flush_once()
    hours, last = await read_use(database, key_id)
    assert sum(hour.count for hour in hours if hour.outcome == "issued") == 6
    assert last == use(now, "newer")
    record = (await load_key(database, key_id)).record
    assert (record.last_used_network, record.last_used_audience) == ("10.0.0.0/24", "newer")
    assert record.last_used_at == now.replace(microsecond=0)


async def test_the_use_of_an_account_is_that_of_its_keys_together(database, connection, now):
    one = await make_key(database)
    account = one.listed.record.account_id
    other = await make_key(database, account=account)
    foreign = await make_key(database)
    recorders = UsageRecorder(database), UsageRecorder(database)
    for recorder in recorders:
        for key in (one, other, foreign):
            recorder.add_issued(key.listed.record.id, use(now))
        recorder.add(one.listed.record.id, "disabled", now)
        recorder.add("key_unknown", "unknown", now)
        await recorder.flush_once()
    hours = await list_usage_of_all(connection, account, now - timedelta(days=1))
    assert [(hour.outcome, hour.count) for hour in hours] == [("disabled", 2), ("issued", 4)]
    keep = timedelta(hours=-2)
    await clean_usage_once(database, now - keep)
    assert await connection.fetchval("select count(*) from account_usage") == 0


async def test_the_usage_of_many_keys_is_written_little_by_little(database, connection, now):
    recorder = UsageRecorder(database)
    for number in range(1000):
        recorder.add(f"key_{number}", "unknown", now)
    loop = asyncio.get_running_loop()
    began_on = loop.time()
    await recorder.flush_once(within=0.1)
    assert loop.time() - began_on >= 0.08  # five pauses, which together are shorter than `within`
    transactions = "select count(*), count(distinct xmin::text) from api_key_usage"
    assert tuple(await connection.fetchrow(transactions)) == (1000, 5)


async def test_what_cannot_be_written_is_written_the_next_time(database, connection, now):
    key = await make_key(database)
    recorder = UsageRecorder(database)
    recorder.add_issued(key.listed.record.id, use(now))
    blocker = connection.transaction()
    await blocker.start()
    await connection.execute("lock table api_key_usage in exclusive mode")
    with pytest.raises(UnavailableError):
        await recorder.flush_once()
    await blocker.rollback()
    recorder.add_issued(key.listed.record.id, use(now))
    await recorder.close()
    hours, _ = await read_use(database, key.listed.record.id)
    assert sum(hour.count for hour in hours) == 2


async def test_the_use_of_many_keys_is_written_in_several_batches(database, connection, now):
    recorder = UsageRecorder(database)
    for number in range(1000):
        recorder.add(f"key_{number}", "disabled", now)
        recorder.note_call(f"key_{number}", use(now))
    await recorder.flush_once()
    assert await connection.fetchval("select count(*) from api_key_usage") == 1000
    assert await connection.fetchval("select count(*) from api_key_last_use") == 1000


UNUSED = "select array_agg(key_id order by key_id) from unused_api_key"
BEFORE_THE_TABLE = """
drop table unused_api_key;
drop function note_unused_keys cascade;
drop function forget_unused_key cascade;
delete from schema_migrations where version = '0014';
"""


async def test_a_key_is_known_as_unused_until_its_first_use(database, connection, now):
    keys = sorted([(await make_key(database)).listed.record.id for _ in range(3)])
    assert await connection.fetchval(UNUSED) == keys
    recorder = UsageRecorder(database)
    for _ in range(2):
        recorder.add_issued(keys[1], use(now))
        await recorder.flush_once()
        assert await connection.fetchval(UNUSED) == [keys[0], keys[2]]
    # The migration finds the keys that were made before.
    await connection.execute(BEFORE_THE_TABLE)
    await migrate(connection, load_migrations())
    assert await connection.fetchval(UNUSED) == [keys[0], keys[2]]


CUT_AT_COMMIT = """
create function cut() returns trigger language plpgsql as $$
begin
    perform pg_terminate_backend(pg_backend_pid());
    return null;
end
$$;
create constraint trigger cut after insert on api_key_usage
    deferrable initially deferred for each row execute function cut();
"""


async def test_a_batch_whose_fate_is_unknown_is_not_counted_twice(database, now, connection):
    key = await make_key(database)
    recorder = UsageRecorder(database)
    recorder.add_issued(key.listed.record.id, use(now))
    await connection.execute(CUT_AT_COMMIT)
    with pytest.raises(OutcomeUnknownError):
        await recorder.flush_once()
    await connection.execute("drop trigger cut on api_key_usage")
    await recorder.flush_once()
    hours, last = await read_use(database, key.listed.record.id)
    # Here it was rolled back, but it might as well have been committed.
    assert (hours, last) == ([], use(now))


async def test_the_rest_is_lost_and_logged_when_postgres_is_away_at_the_end(database, now, logs):
    recorder = UsageRecorder(database)
    recorder.add("key_x", "disabled", now)
    await database.close()
    await recorder.close()
    assert [line["sums"] for line in logs.find("usage_lost")] == [1]


@pytest.mark.parametrize("at_once", [10, 1000])
async def test_old_hours_are_deleted_in_batches_until_none_is_left(
    at_once, database, now, connection, logs
):
    await connection.execute(
        "insert into api_key_usage (key_id, hour, outcome, count)"
        " select 'key_x', date_trunc('hour', $1::timestamptz) - n * interval '1 hour', 'issued', 1"
        " from generate_series(0, 99) n",
        now,
    )
    keep = timedelta(hours=50)
    assert await clean_usage_once(database, now - keep, at_once=at_once) in {49, 50}
    assert await clean_usage_once(database, now - keep, at_once=at_once) == 0
    assert len(logs.find("usage_cleaned")) == 1
