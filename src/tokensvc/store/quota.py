"""What is left of the limits of a key and of its account (`sql/queries/quota.sql`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.core.limit import Quota
from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from datetime import datetime

    import asyncpg

_SQL = load_queries("quota")


async def find_quota(
    connection: asyncpg.Connection, key_id: str
) -> tuple[Quota, datetime, list[datetime]] | None:
    """Return what is left of the limits of a key and its account; None if it does not exist.

    With it come Postgres's clock and when the windows began, in the order of the limits.
    """
    row = await connection.fetchrow(_SQL["find"], key_id)
    if row is None:
        return None
    return Quota(*row["most"], *row["left_over"]), row["at"], row["begun"]
