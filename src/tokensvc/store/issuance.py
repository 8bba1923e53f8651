"""What is known of all tokens that were issued (`sql/queries/issuance.sql`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from uuid import UUID

    import asyncpg

_SQL = load_queries("issuance")


async def raise_longest_life(connection: asyncpg.Connection, life: timedelta) -> None:
    """Remember that tokens may live this long from now on.

    This must be committed before the first such token is issued.
    """
    await connection.execute(_SQL["raise_longest_life"], life)


async def load_longest_life(connection: asyncpg.Connection) -> timedelta:
    """Return the longest life that any token may have."""
    life: timedelta = await connection.fetchval(_SQL["load_longest_life"])
    return life


async def find_latest_iat(connection: asyncpg.Connection) -> datetime | None:
    """Return the latest `iat` of all tokens; None if none was ever issued."""
    latest: datetime | None = await connection.fetchval(_SQL["find_latest_iat"])
    return latest


async def find_latest_moment(connection: asyncpg.Connection) -> datetime:
    """Return a moment that lies neither before the `iat` of any token nor before Postgres's clock.

    It is right also if the clock was set back, or if a crash took the latest `iat` away.
    """
    at: datetime = await connection.fetchval(_SQL["find_latest_moment"])
    return at


async def raise_iat_limit(connection: asyncpg.Connection, wanted: datetime) -> datetime:
    """Let tokens be issued up to `wanted`; return up to when they may be issued then.

    It is one statement, which commits itself and is durable at this host.
    """
    limit: datetime = await connection.fetchval(_SQL["raise_iat_limit"], wanted)
    return limit


async def raise_iat_floor(connection: asyncpg.Connection, limit: datetime | None) -> UUID:
    """Let no watermark lie before `limit`: tokens may have been issued up to there.

    Nor may one lie before the limit that the database had at the beginning of this run of Postgres.
    Returns what tells this run from others.
    """
    run: UUID = await connection.fetchval(_SQL["raise_iat_floor"], limit)
    return run
