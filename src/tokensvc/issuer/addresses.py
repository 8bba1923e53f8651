"""Addresses end after a time: those in the audit trail, and the networks of keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from tokensvc.store.api_key_network import delete_networks
from tokensvc.store.audit_checkpoint import delete_addresses
from tokensvc.store.usage import forget_networks

if TYPE_CHECKING:
    from datetime import datetime

    from tokensvc.store.pool import Database

_AT_ONCE: Final = 1000

_log = structlog.get_logger(__name__)


async def clean_addresses_once(
    database: Database, before: datetime, *, at_once: int = _AT_ONCE
) -> int:
    """Delete what is known of addresses before a moment, `at_once` by `at_once`.

    Returns how many there were. Raises UnavailableError.
    """
    total = 0
    for clean in (delete_addresses, forget_networks, delete_networks):
        while True:
            async with database.connection() as connection:
                deleted = await clean(connection, before, at_once)
            total += deleted
            if deleted < at_once:
                break
    if total:
        _log.info("addresses_cleaned", addresses=total)
    return total
