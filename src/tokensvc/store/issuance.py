"""What is known of all tokens that were issued (`sql/queries/issuance.sql`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from datetime import datetime, timedelta

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
