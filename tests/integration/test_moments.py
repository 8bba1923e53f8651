"""What ends a key or an account has one moment, and it is read after the row was locked."""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.things import make_key

from tokensvc.store import account, api_key

STATES = {
    "key_disabled": ("disabled_at",),
    "key_revoked": ("revoked_at",),
    "key_deleted": ("deleted_at", "revoked_at"),
    "key_tokens_revoked": (),
    "account_suspended": ("suspended_at",),
    "account_deleted": ("deleted_at",),
    "account_tokens_revoked": (),
}


@pytest.mark.parametrize("ending", STATES)
async def test_state_and_watermark_have_the_same_moment(database, connection, ending):
    record = (await make_key(database)).listed.record
    is_key = ending.startswith("key")
    subject = record.id if is_key else record.account_id
    table, end = ("api_key", api_key.end) if is_key else ("account", account.end)
    window, column = ("api_key_window", "key_id") if is_key else ("account_window", "account_id")

    async def end_it():
        async with database.transaction() as mine:
            await mine.execute(
                f"select from {window} where {column} = $1 for no key update", subject
            )
            return await end(mine, ending, subject)

    async with connection.transaction():
        await connection.execute(
            f"select from {window} where {column} = $1 for no key update", subject
        )
        ending_it = asyncio.create_task(end_it())
        await asyncio.sleep(0.1)
        released_at = await connection.fetchval("select clock_timestamp()")
    watermark = await ending_it
    row = await connection.fetchrow(f"select * from {table} where id = $1", subject)
    assert {row[name] for name in (*STATES[ending], "watermark")} == {watermark}
    assert watermark > released_at
    async with database.transaction() as mine:
        assert await end(mine, ending, subject) > watermark
