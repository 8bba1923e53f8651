"""How many operations the holders of API keys call (`sql/queries/call_window.sql`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from datetime import datetime

    import asyncpg

    from tokensvc.core.identifier import KeyId

_SQL = load_queries("call_window")


class CountedCall(NamedTuple):
    """Whether a call was admitted, and how many were in the minute that began at `began_at`."""

    admitted: bool
    calls: int
    began_at: datetime
    at: datetime


async def count_call(connection: asyncpg.Connection, key_id: KeyId, most: int) -> CountedCall:
    """Count a call, unless `most` were admitted in this minute already."""
    (row,) = await connection.fetch(_SQL["count"], key_id, most)
    return CountedCall._make(row)


async def delete_call_windows(connection: asyncpg.Connection, before: datetime, most: int) -> int:
    """Delete at most `most` windows that began before a moment; return how many."""
    return len(await connection.fetch(_SQL["delete_before"], before, most))
