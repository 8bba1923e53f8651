"""Deleting many rows in steps, each a short transaction that hardly anybody waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from tokensvc.store.pool import Connection, Database

    # Deletes at most so many rows from before a moment, and returns how many there were.
    Delete = Callable[[Connection, datetime, int], Awaitable[int]]

MOST_AT_ONCE: Final = 1000


async def delete_in_steps(
    database: Database, delete: Delete, before: datetime, *, at_once: int = MOST_AT_ONCE
) -> int:
    """Call `delete` until fewer than `at_once` rows were left; return how many were deleted.

    Raises UnavailableError. What was deleted until then stays deleted.
    """
    total, deleted = 0, at_once
    while deleted == at_once:
        async with database.connection() as connection:
            deleted = await delete(connection, before, at_once)
        total += deleted
    return total
