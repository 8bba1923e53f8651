"""Deleting what is over, in steps, each a short transaction that hardly anybody waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokensvc.logs.logger import get_logger
from tokensvc.store.api_key_network import delete_networks
from tokensvc.store.audit_checkpoint import delete_addresses
from tokensvc.store.denylist import delete_expired
from tokensvc.store.usage import delete_account_usage, delete_usage, forget_networks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from tokensvc.store.pool import Connection, Database

    # Deletes rows from before a moment, no more than a number, and returns how many there were.
    Delete = Callable[[Connection, datetime, int], Awaitable[int]]

MOST_AT_ONCE: Final = 1000
_SUMS_AT_ONCE: Final = 5000  # of usage: its rows are short

_log = get_logger(__name__)


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


async def clean_denylist_once(
    database: Database, now: datetime, *, at_once: int = MOST_AT_ONCE
) -> int:
    """Delete revocations whose last token is beyond all leeway; return how many.

    Raises UnavailableError.
    """
    total = await delete_in_steps(database, delete_expired, now, at_once=at_once)
    if total:
        _log.info("denylist_cleaned", revocations=total)
    return total


async def clean_usage_once(
    database: Database, before: datetime, *, at_once: int = _SUMS_AT_ONCE
) -> int:
    """Delete the hours of usage that ended before a moment; return how many sums of keys.

    Raises UnavailableError.
    """
    total = await delete_in_steps(database, delete_usage, before, at_once=at_once)
    await delete_in_steps(database, delete_account_usage, before, at_once=at_once)
    if total:
        _log.info("usage_cleaned", sums=total)
    return total


async def clean_addresses_once(
    database: Database, before: datetime, *, at_once: int = MOST_AT_ONCE
) -> int:
    """Delete what is known of addresses before a moment; return how many there were.

    They are in the audit trail, in the last uses of keys, and among the networks of keys. Raises
    UnavailableError.
    """
    total = 0
    for delete in (delete_addresses, forget_networks, delete_networks):
        total += await delete_in_steps(database, delete, before, at_once=at_once)
    if total:
        _log.info("addresses_cleaned", addresses=total)
    return total
