"""Accounts: create, list, show, update, resume. What ends them is `issuer.revoking.endings`."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final

from tokensvc.core.account import parse_name
from tokensvc.core.identifier import new_account_id
from tokensvc.core.limit import DEFAULT_TIER, LimitChanges, change_limits
from tokensvc.issuer.audit import record
from tokensvc.store import account as table

if TYPE_CHECKING:
    from tokensvc.core.account import Account
    from tokensvc.core.actor import Actor
    from tokensvc.store.pool import Connection, Database

_NO_CHANGES: Final = LimitChanges()


async def create_account(database: Database, name: str, *, actor: Actor) -> Account:
    """Create an account. Raises InvalidInputError."""
    async with database.transaction() as connection:
        return await insert_account(connection, name, actor=actor)


async def insert_account(connection: Connection, name: str, *, actor: Actor) -> Account:
    """As `create_account`, inside a transaction that is open already."""
    account = await table.insert_account(connection, new_account_id(), parse_name(name))
    await record(connection, actor, "account.create", account.id, name=account.name)
    return account


async def list_accounts(database: Database) -> list[Account]:
    """Return all accounts, oldest first."""
    async with database.connection() as connection:
        return await table.list_accounts(connection)


async def load_account(database: Database, account_id: str) -> Account:
    """Return an account. Raises NotFoundError."""
    async with database.connection() as connection:
        return await table.load_account(connection, account_id)


async def update_account(
    database: Database,
    account_id: str,
    *,
    name: str | None = None,
    limits: LimitChanges = _NO_CHANGES,
    actor: Actor,
) -> Account:
    """Change the name, and the limits that hold for all its keys together.

    What has been counted stays counted. Raises NotFoundError, InvalidInputError.
    """
    async with database.transaction() as connection:
        before = await table.lock_account(connection, account_id)
        new_name = before.name if name is None else parse_name(name)
        changed = change_limits(before.limits, limits)
        if changed.tier is None:
            changed = replace(changed, tier=DEFAULT_TIER)
        await table.update_account(connection, before.id, new_name, changed)
        after = await table.load_account(connection, before.id)
        detail = {"before": _facts(before), "after": _facts(after)}
        await record(connection, actor, "account.update", before.id, **detail)
        return after


async def resume_account(database: Database, account_id: str, *, actor: Actor) -> Account:
    """End a suspension. Tokens from before stay revoked. Raises NotFoundError."""
    async with database.transaction() as connection:
        account = await table.lock_account(connection, account_id)
        if account.suspended_at is not None:
            await table.resume_account(connection, account.id)
            await record(connection, actor, "account.resume", account.id)
        return await table.load_account(connection, account.id)


def _facts(account: Account) -> dict[str, object]:
    return {"name": account.name, "limits": asdict(account.limits)}
