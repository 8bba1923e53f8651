"""What ends a key or an account has one moment, read after the row was locked."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests import endings
from tests.integration.things import ACTOR, make_key
from tests.rows import list_denylist

ACTS: dict[str, Any] = {
    "disabled_at": endings.disable_key,
    "revoked_at": endings.revoke_key,
    "deleted_at": endings.delete_key,
    "key tokens": endings.revoke_tokens_of_key,
    "suspended_at": endings.suspend_account,
    "account deleted_at": endings.delete_account,
    "account tokens": endings.revoke_tokens_of_account,
}
KEYS = ("disabled_at", "revoked_at", "deleted_at", "key tokens")


@pytest.fixture
async def subject(database, act_name):
    """What the act ends: its id, its table, its window and the name of its id there."""
    record = (await make_key(database)).listed.record
    if act_name in KEYS:
        return record.id, "api_key", "api_key_window", "key_id"
    return record.account_id, "account", "account_window", "account_id"


@pytest.mark.parametrize("act_name", ACTS)
async def test_state_and_watermark_have_the_same_moment(act_name, subject, database, connection):
    value, table, window, column = subject
    async with connection.transaction():
        await connection.execute(
            f"select from {window} where {column} = $1 for no key update", value
        )
        ending_it = asyncio.create_task(ACTS[act_name](database, value, actor=ACTOR))
        await asyncio.sleep(0.1)
        released_at = await connection.fetchval("select clock_timestamp()")
    await ending_it
    row = await connection.fetchrow(f"select * from {table} where id = $1", value)
    state = act_name.rpartition(" ")[2]
    assert row["watermark"] > released_at
    if state != "tokens":
        assert row[state] == row["watermark"]
    (record,) = await list_denylist(database)
    assert record.watermark == row["watermark"]


@pytest.mark.parametrize("act_name", ACTS)
async def test_f41_a_watermark_never_lies_before_a_token_that_was_given_out(
    act_name, subject, database, connection, started
):
    """Postgres's clock stepped back by 90 s after the token was issued."""
    del started
    value, table, window, column = subject
    latest = await connection.fetchval("select clock_timestamp() + interval '90 s'")
    await connection.execute(
        f"update {window} set latest_iat = $2 where {column} = $1", value, latest
    )
    await ACTS[act_name](database, value, actor=ACTOR)
    row = await connection.fetchrow(f"select * from {table} where id = $1", value)
    assert row["watermark"] == latest
    if (state := act_name.rpartition(" ")[2]) != "tokens":
        assert row[state] < latest, "a state has the moment that the clock shows"
    (record,) = await list_denylist(database)
    assert record.revocation.upto == int(latest.timestamp())
    assert record.revocation.exp == int(latest.timestamp()) + 3600 + 120
