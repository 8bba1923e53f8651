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
    connection: asyncpg.Connection, sums: Sequence[tuple[tuple[str, int, str], int]]
) -> None:
    """Add to the sums of keys: ((key id, hour, outcome), count), sorted."""
    await connection.execute(_SQL["relax"])
    await connection.execute(
        _SQL["add"],
        [key_id for (key_id, _, _), _ in sums],
        [datetime.fromtimestamp(hour, UTC) for (_, hour, _), _ in sums],
        [outcome for (_, _, outcome), _ in sums],
        [count for _, count in sums],
    )


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


async def find_last_use(connection: asyncpg.Connection, key_id: str) -> LastUse | None:
    """Return the last use of a key, None if there was none."""
    row = await connection.fetchrow(_SQL["find_last"], key_id)
    return (
        None
        if row is None
        else LastUse(int(row["at"].timestamp()), row["network"], row["audience"])
    )


async def forget_networks(connection: asyncpg.Connection, before: datetime, most: int) -> int:
    """Forget the network of at most `most` last uses before a moment; return how many."""
    return len(await connection.fetch(_SQL["forget_networks"], before, most))


async def delete_usage(connection: asyncpg.Connection, before: datetime, most: int) -> int:
    """Delete at most `most` sums of hours before a moment; return how many."""
    return len(await connection.fetch(_SQL["delete_before"], before, most))
