"""How many things there are (`sql/queries/counts.sql`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from datetime import datetime

    import asyncpg

_SQL = load_queries("counts")


async def count_things(connection: asyncpg.Connection) -> tuple[dict[str, int], datetime]:
    """Return how many accounts and other things there are, by what they are, and when."""
    (row,) = await connection.fetch(_SQL["count"])
    counts = dict(row)
    return counts, counts.pop("at")
