"""Usage of keys (`sql/queries/usage.sql`)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tokensvc.core.usage import HourOfUse, LastUse
from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

_SQL = load_queries("usage")


async def add_usage(
    connection: asyncpg.Connection, counts: Sequence[tuple[str, int]], *, hour: int, outcome: str
) -> None:
    """Add how often keys had an outcome to their sums, and to those of their accounts and of all.

    `hour`: when it began, in seconds since 1970. `counts`: (key id, count), sorted.
    """
    await connection.execute(_SQL["relax"])
    key_ids = [key_id for key_id, _ in counts]
    numbers = [number for _, number in counts]
    hours, outcomes = [datetime.fromtimestamp(hour, UTC)] * len(counts), [outcome] * len(counts)
    await connection.execute(_SQL["add"], key_ids, hours, outcomes, numbers)
    # Last, because many who write wait for these few rows.
    await connection.execute(_SQL["add_to_accounts"], key_ids, hours, outcomes, numbers)
    await connection.execute(_SQL["add_to_all"], hours, outcomes, numbers)


async def set_last_use(connection: asyncpg.Connection, uses: Sequence[tuple[str, LastUse]]) -> None:
    """Remember the last use of keys, sorted by key; an older use never replaces a newer one."""
    await connection.execute(_SQL["relax"])
    await connection.execute(
        _SQL["set_last"],
        [key_id for key_id, _ in uses],
        [datetime.fromtimestamp(use.at, UTC) for _, use in uses],
        [use.network for _, use in uses],
        [use.audience for _, use in uses],
    )


async def list_usage(
    connection: asyncpg.Connection, key_id: str, since: datetime
) -> list[HourOfUse]:
    """Return the sums of a key for the hours that began after `since`, oldest first."""
    return [HourOfUse(**dict(row)) for row in await connection.fetch(_SQL["list"], key_id, since)]


async def list_usage_of_many(
    connection: asyncpg.Connection, key_ids: Sequence[str], since: datetime
) -> dict[str, list[HourOfUse]]:
    """Return what `list_usage` returns of each of some keys; one without any is absent."""
    found: dict[str, list[HourOfUse]] = {}
    for key_id, hour, outcome, count in await connection.fetch(
        _SQL["list_of_many"], key_ids, since
    ):
        hours = found.setdefault(key_id, [])
        hours.append(HourOfUse(hour=hour, outcome=outcome, count=count))
    return found


async def list_usage_of_all(
    connection: asyncpg.Connection, account_id: str | None, since: datetime
) -> list[HourOfUse]:
    """Return the sums of all keys, or of those of an account, as `list_usage` does of one."""
    if account_id is None:
        rows = await connection.fetch(_SQL["list_all"], since)
    else:
        rows = await connection.fetch(_SQL["list_of_account"], account_id, since)
    return [HourOfUse(**dict(row)) for row in rows]


async def forget_networks(connection: asyncpg.Connection, before: datetime, most: int) -> int:
    """Forget the network of at most `most` last uses before a moment; return how many."""
    return len(await connection.fetch(_SQL["forget_networks"], before, most))


async def delete_account_usage(connection: asyncpg.Connection, before: datetime, most: int) -> int:
    """Delete at most `most` sums of accounts for hours before a moment; return how many."""
    return len(await connection.fetch(_SQL["delete_of_accounts_before"], before, most))


async def delete_usage(connection: asyncpg.Connection, before: datetime, most: int) -> int:
    """Delete at most `most` sums of hours before a moment; return how many."""
    await connection.execute(_SQL["delete_all_before"], before)
    return len(await connection.fetch(_SQL["delete_before"], before, most))
