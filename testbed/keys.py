"""API keys and accounts, put straight into the database: many at once, for a load."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from tokensvc.core.api_key import new_api_key
from tokensvc.core.identifier import new_account_id, new_key_id
from tokensvc.store.primary import connect

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import asyncpg

CAPABILITIES: Final = ["orders:read", "orders:write"]
_AT_ONCE: Final = 50_000
_NO_LIMIT: Final = 1_000_000_000
_KEY_COLUMNS: Final = (
    "id",
    "account_id",
    "digest",
    "hint",
    "name",
    "description",
    "capabilities",
    "created_at",
    "per_minute",
    "per_day",
    "window_id",
)
_ACCOUNT_COLUMNS: Final = ("id", "name", "created_at", "per_minute", "per_day")


def add_keys(
    url: str,
    count: int,
    *,
    accounts: int = 100,
    per_minute: int = _NO_LIMIT,
    account_per_minute: int = _NO_LIMIT,
) -> list[str]:
    """Make keys straight in the database, spread over accounts; return their texts."""
    return asyncio.run(_add_keys(url, count, accounts, per_minute, account_per_minute))


async def add_keys_to(url: str, count: int) -> list[str]:
    """Do as `add_keys` in a loop that runs: keys without limits, in accounts of their own."""
    return await _add_keys(url, count, count, _NO_LIMIT, _NO_LIMIT)


async def _add_keys(
    url: str, count: int, accounts: int, per_minute: int, account_per_minute: int
) -> list[str]:
    connection = await connect(url)
    try:
        await connection.execute("set statement_timeout = 0; set lock_timeout = 0")
        now = await connection.fetchval("select clock_timestamp()")
        owners = [new_account_id() for _ in range(accounts)]
        rows = [(owner, "load", now, account_per_minute, _NO_LIMIT) for owner in owners]
        await _copy(connection, "account", _ACCOUNT_COLUMNS, rows)
        await _copy(connection, "account_window", ("account_id",), [(owner,) for owner in owners])
        texts: list[str] = []
        for start in range(0, count, _AT_ONCE):
            portion = min(_AT_ONCE, count - start)
            texts += await _add_portion(connection, owners, portion, now, per_minute)
        await connection.execute("vacuum analyze", timeout=600)
        return texts
    finally:
        await connection.close()


async def _add_portion(
    connection: asyncpg.Connection,
    owners: Sequence[str],
    count: int,
    now: datetime,
    per_minute: int,
) -> list[str]:
    keys = [(new_key_id(), new_api_key()) for _ in range(count)]
    rows = []
    for number, (key_id, key) in enumerate(keys):
        owner = owners[number % len(owners)]
        named = (key_id, owner, key.digest, key.hint, "load", "")
        rows.append((*named, CAPABILITIES, now, per_minute, _NO_LIMIT, key_id))
    await _copy(connection, "api_key", _KEY_COLUMNS, rows)
    await _copy(connection, "api_key_window", ("key_id",), [(key_id,) for key_id, _ in keys])
    return [key.text for _, key in keys]


async def _copy(
    connection: asyncpg.Connection,
    table: str,
    columns: Sequence[str],
    rows: Sequence[tuple[object, ...]],
) -> None:
    await connection.copy_records_to_table(table, columns=columns, records=rows, timeout=600)
