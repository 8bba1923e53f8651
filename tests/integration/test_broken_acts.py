"""An act that Postgres breaks off, or holds up, in its middle: all of it happens or nothing."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from testbed.waiting import until
from tests.integration.exchanges import ask
from tests.integration.things import ACTOR, make_key, patiently, revoke_keys

from tokensvc.core.errors import UnavailableError
from tokensvc.issuer.admin import accounts
from tokensvc.issuer.connection_share import ConnectionShare
from tokensvc.issuer.revoking.credentials import HolderRevocations

KEYS = 10
# Ends its own connection at a row that the test names, as the crash of a backend would.
BREAK_OFF = """
create table break_off (at bigint);
create function break_off() returns trigger language plpgsql as $$
begin
    if new.seq = (select at from break_off) then
        perform pg_terminate_backend(pg_backend_pid());
    end if;
    return new;
end
$$;
create trigger break_off before insert on denylist for each row execute function break_off();
"""
REVOKED = "select count(*) from api_key where revoked_at is not null"
JUDGING = (
    "select pid from pg_stat_activity where query like '%from judge_exchanges_2%' and pid <> {}"
)


async def make_keys(database):
    account = (await accounts.create_account(database, "Orders", actor=ACTOR)).id
    return [await make_key(database, account=account) for _ in range(KEYS)]


async def count_traces(connection):
    return tuple(
        await connection.fetchrow(
            f"select ({REVOKED}), (select count(*) from denylist),"
            " (select seq from feed_head where topic = 'denylist'),"
            " (select count(*) from audit_event where operation = 'keys.revoke')"
        )
    )


async def test_f3_a_batch_that_is_broken_off_is_undone_as_a_whole_and_can_be_repeated(
    database, connection
):
    await connection.execute(BREAK_OFF)
    await connection.execute("insert into break_off values (null)")
    keys = [key.listed.record.id for key in await make_keys(database)]
    for number in range(100):
        await connection.execute("update break_off set at = $1", 1 + number % KEYS)
        with pytest.raises(UnavailableError):
            await revoke_keys(database, keys)
        assert await count_traces(connection) == (0, 0, 0, 0), f"half a batch in round {number}"
    await connection.execute("update break_off set at = null")
    for outcome in ("ended", "repeated"):
        ended = await revoke_keys(database, keys)
        assert {key.outcome for key in ended} == {outcome}
        assert await count_traces(connection) == (KEYS,) * 4


async def test_f3_what_holders_revoke_together_is_broken_off_together(database, connection):
    await connection.execute(BREAK_OFF)
    keys = await make_keys(database)
    await connection.execute("insert into break_off values ($1)", KEYS // 2)
    holders = HolderRevocations(database, ConnectionShare(KEYS))

    async def revoke_all():
        return await asyncio.gather(
            *(holders.revoke_key(key.key.digest) for key in keys), return_exceptions=True
        )

    first = await revoke_all()
    acknowledged = [end for end in first if not isinstance(end, BaseException)]
    assert all(isinstance(end, UnavailableError) for end in first if end not in acknowledged)
    counted = await count_traces(connection)
    assert counted == (len(acknowledged),) * 4, "nothing but what was acknowledged"
    await connection.execute("update break_off set at = null")
    assert {end.outcome for end in await revoke_all()} <= {"ended", "repeated"}
    assert await count_traces(connection) == (KEYS,) * 4


async def test_f10_a_backend_that_hangs_costs_one_batch_and_its_connection(
    exchange, database, connection
):
    key = await make_key(database)
    assert (await ask(exchange, key))[1] == []
    stuck = await connection.fetchval(JUDGING.format("pg_backend_pid()"))
    os.kill(stuck, signal.SIGSTOP)
    try:
        _, (refused,) = await ask(exchange, key)
        assert isinstance(refused, UnavailableError)
        tokens, _ = await patiently(lambda: ask_until_answered(exchange, key))
        assert len(tokens) == 1
        judging = {row["pid"] for row in await connection.fetch(JUDGING.format(stuck))}
        assert judging, "another connection judges"
    finally:
        os.kill(stuck, signal.SIGCONT)
    gone = f"select not exists (select from pg_stat_activity where pid = {stuck})"
    await until(lambda: connection.fetchval(gone))


async def ask_until_answered(exchange, key):
    tokens, refused = await ask(exchange, key)
    if refused:
        raise refused[0]
    return tokens, refused
