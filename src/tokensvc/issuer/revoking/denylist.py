"""The denylist as a table: listing what is in force, and deleting what has expired."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.issuer.deleting import MOST_AT_ONCE, delete_in_steps
from tokensvc.logs.logger import get_logger
from tokensvc.store.denylist import delete_expired, read_after
from tokensvc.store.feed_head import list_heads

if TYPE_CHECKING:
    from datetime import datetime

    from tokensvc.core.denylist.record import RevocationRecord
    from tokensvc.store.pool import Database

_log = get_logger(__name__)


async def list_denylist(database: Database) -> list[RevocationRecord]:
    """Return the revocations in force, oldest first."""
    async with database.connection() as connection:
        _, now = await list_heads(connection)
        return [record async for part in read_after(connection, 0, now) for record in part]


async def clean_denylist_once(
    database: Database, now: datetime, *, at_once: int = MOST_AT_ONCE
) -> int:
    """Delete revocations whose last token is beyond all leeway, `at_once` by `at_once`.

    Returns how many were deleted. Raises UnavailableError.
    """
    total = await delete_in_steps(database, delete_expired, now, at_once=at_once)
    if total:
        _log.info("denylist_cleaned", revocations=total)
    return total
