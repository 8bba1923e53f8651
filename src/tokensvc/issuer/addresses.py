"""Addresses end after a time: those in the audit trail, and the networks of keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.issuer.deleting import MOST_AT_ONCE, delete_in_steps
from tokensvc.logs.logger import get_logger
from tokensvc.store.api_key_network import delete_networks
from tokensvc.store.audit_checkpoint import delete_addresses
from tokensvc.store.usage import forget_networks

if TYPE_CHECKING:
    from datetime import datetime

    from tokensvc.store.pool import Database

_log = get_logger(__name__)


async def clean_addresses_once(
    database: Database, before: datetime, *, at_once: int = MOST_AT_ONCE
) -> int:
    """Delete what is known of addresses before a moment, `at_once` by `at_once`.

    Returns how many there were. Raises UnavailableError.
    """
    total = 0
    for delete in (delete_addresses, forget_networks, delete_networks):
        total += await delete_in_steps(database, delete, before, at_once=at_once)
    if total:
        _log.info("addresses_cleaned", addresses=total)
    return total
