"""What stands in the tables, for tests that look behind an act. Everything is read by `store`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokensvc.store import account, api_key, audience, capability
from tokensvc.store.audit_event import list_audit_page
from tokensvc.store.denylist import read_after
from tokensvc.store.feed_head import list_heads
from tokensvc.store.key_pages import KeyFilter, list_key_page
from tokensvc.store.page_query import PageWish

if TYPE_CHECKING:
    from tokensvc.core.account import Account
    from tokensvc.core.api_key import ListedKey
    from tokensvc.core.audience import Audience
    from tokensvc.core.audit_event import AuditEvent, AuditFilter
    from tokensvc.core.capability import Capability
    from tokensvc.core.denylist.record import RevocationRecord
    from tokensvc.store.pool import Database

_ALL: Final = PageWish(10_000)


async def load_account(database: Database, account_id: str) -> Account:
    """Return an account. Raises NotFoundError."""
    async with database.connection() as connection:
        return await account.load_account(connection, account_id)


async def list_accounts(database: Database) -> list[Account]:
    """Return all accounts, oldest first."""
    async with database.connection() as connection:
        found, _ = await account.list_account_page(connection, account.AccountFilter(), _ALL)
    return found


async def load_key(database: Database, key_id: str) -> ListedKey:
    """Return a key. Raises NotFoundError."""
    async with database.connection() as connection:
        return await api_key.load_api_key(connection, key_id)


async def list_keys(database: Database, account_id: str | None = None) -> list[ListedKey]:
    """Return the keys of one account, or all, oldest first."""
    async with database.connection() as connection:
        found, _ = await list_key_page(connection, KeyFilter(account_id=account_id), _ALL)
    return found


async def list_audiences(database: Database) -> list[Audience]:
    """Return all audiences by name."""
    async with database.connection() as connection:
        return await audience.list_audiences(connection)


async def list_capabilities(database: Database) -> list[Capability]:
    """Return all capabilities by name."""
    async with database.connection() as connection:
        return await capability.list_capabilities(connection)


async def list_events(database: Database, wanted: AuditFilter, *, most: int) -> list[AuditEvent]:
    """Return the newest `most` events of the audit trail."""
    async with database.connection() as connection:
        found, _ = await list_audit_page(connection, wanted, PageWish(most), oldest_first=False)
    return found


async def list_denylist(database: Database) -> list[RevocationRecord]:
    """Return the revocations in force, oldest first."""
    async with database.connection() as connection:
        _, now = await list_heads(connection)
        return [record async for part in read_after(connection, 0, now) for record in part]
