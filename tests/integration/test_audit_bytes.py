"""A single byte of the audit trail that somebody changes, past the triggers, is found and named."""

from __future__ import annotations

import random
from datetime import timedelta

import asyncpg
import pytest
from tests.integration.test_audit_verify import FILL

from tokensvc.core.audit_chain import FIRST_HASH, Chain
from tokensvc.store.audit_event import read_audit_events

MANY = 10_000
EACH = 40  # changes of each column
# What an event does not say: to which one an address belongs, and when that address ends.
LEFT_OUT = {("audit_address", "number"), ("audit_address", "at")}
COLUMNS = """
select table_name::text, column_name::text, data_type::text from information_schema.columns
where table_schema = 'public' and table_name in ('audit_event', 'audit_address')
order by table_name, ordinal_position
"""


@pytest.fixture
async def hashes(connection):
    """The hash of each of very many events, by its number."""
    await connection.execute(FILL, MANY)
    rows = await connection.fetch("select number, hash from audit_event order by number")
    assert len(rows) == MANY
    return {0: FIRST_HASH, **dict(rows)}


async def test_a_byte_changed_in_any_column_of_any_event_is_found_and_named(
    connection, hashes, subtests
):
    chance = random.Random(8)
    columns = [row for row in await connection.fetch(COLUMNS) if tuple(row)[:2] not in LEFT_OUT]
    assert len(columns) == 12
    for table, column, kind in columns:
        with subtests.test(msg=f"{table}.{column}"):
            for turn in range(EACH):
                number = chance.randrange(1, MANY + 1)
                # The first of a column is found among all events, the others from nearby on.
                after = 0 if turn == 0 else max(0, number - 3)
                transaction = connection.transaction()
                await transaction.start()
                await connection.execute("set local session_replication_role = replica")
                what = await change_a_byte(connection, table, column, kind, number, chance)
                found = await find_break(connection, after, hashes[after])
                await transaction.rollback()
                assert found is not None, what
                assert found.number == number, what


async def find_break(connection, after, hash_):
    """Return the first break after an event, as far as the events soon after it tell."""
    chain = Chain(after, hash_)
    async for events in read_audit_events(connection, after, at_once=2000 if after == 0 else 6):
        found = chain.find_break(events)
        if found is not None or after:
            return found
    return None


async def change_a_byte(connection, table, column, kind, number, chance):
    """Change one byte of a value to another one; return the value before and after."""
    written, read = ("::text::jsonb", "::text") if kind == "jsonb" else ("", "")
    before = await connection.fetchval(
        f"select {column}{read} from {table} where number = $1", number
    )
    for _ in range(200):  # not each text is JSON, and not each number is free
        after = new_value(before, kind, chance)
        try:
            async with connection.transaction():
                changed = await connection.fetchval(
                    f"update {table} set {column} = $2{written} where number = $1"
                    f" and {column} is distinct from $2{written} returning true",
                    number,
                    after,
                )
        except (asyncpg.UniqueViolationError, asyncpg.InvalidTextRepresentationError):
            continue
        if changed:
            return column, number, before, after
    raise AssertionError((column, before))


def new_value(value, kind, chance):
    """Return a value that differs in a byte, as far as the kind has bytes."""
    match kind:
        case "bytea":
            at = chance.randrange(len(value))
            return value[:at] + bytes([value[at] ^ chance.randrange(1, 256)]) + value[at + 1 :]
        case "bigint":
            # A number that is there already cannot stand twice, so what is left is a larger one.
            return value ^ (1 << chance.randrange(14, 62))
        case "timestamp with time zone":
            return value + timedelta(microseconds=1 << chance.randrange(40))
        case "text" | "jsonb":
            at = chance.randrange(len(value))
            return value[:at] + chr(chance.randrange(1, 127)) + value[at + 1 :]
    raise AssertionError(kind)
