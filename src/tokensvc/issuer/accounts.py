"""Accounts: create, list, show, update, suspend, resume, delete."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final

from tokensvc.core.account import parse_name
from tokensvc.core.identifier import new_account_id
from tokensvc.core.limit import DEFAULT_TIER, LimitChanges, change_limits
from tokensvc.issuer.audit import record
from tokensvc.issuer.watermark import append_watermark
from tokensvc.store import account as table

if TYPE_CHECKING:
    from tokensvc.core.account import Account
    from tokensvc.store.pool import Connection, Database

_NO_CHANGES: Final = LimitChanges()


async def create_account(database: Database, name: str, *, actor: str) -> Account:
    """Create an account."""
    async with database.transaction() as connection:
        return await insert_account(connection, name, actor=actor)


async def insert_account(connection: Connection, name: str, *, actor: str) -> Account:
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
    actor: str,
) -> Account:
    """Change name and limits; what holds for its keys together. Counts go on. Raises NotFoundError, InvalidInputError."""
    async with database.transaction() as connection:
        before = await table.lock_account(connection, account_id)
        changed = change_limits(before.limits, limits)
        if changed.tier is None:
            changed = replace(changed, tier=DEFAULT_TIER)
        await table.update_account(
            connection, before.id, before.name if name is None else parse_name(name), changed
        )
        after = await table.load_account(connection, before.id)
        await record(
            connection,
            actor,
            "account.update",
            before.id,
            before=_facts(before),
            after=_facts(after),
        )
        return after


async def suspend_account(database: Database, account_id: str, *, actor: str) -> Account:
    """Suspend: no key of the account gets a token, and all tokens that they have got are dead. Reversible."""
    async with database.transaction() as connection:
        account = await table.lock_account(connection, account_id)
        if account.suspended_at is None:
            moment = await table.suspend_account(connection, account.id)
            await append_watermark(
                connection, "account", account.id, upto=moment, reason="account suspended"
            )
        await record(connection, actor, "account.suspend", account.id)
        return await table.load_account(connection, account.id)


async def resume_account(database: Database, account_id: str, *, actor: str) -> Account:
    """End a suspension. Tokens from before stay dead."""
    async with database.transaction() as connection:
        account = await table.lock_account(connection, account_id)
        if account.suspended_at is not None:
            await table.resume_account(connection, account.id)
            await record(connection, actor, "account.resume", account.id)
        return await table.load_account(connection, account.id)


async def end_tokens(database: Database, account_id: str, *, actor: str, reason: str = "") -> None:
    """Kill the tokens that all keys of an account have got so far and leave the account as it is. Raises NotFoundError."""
    async with database.transaction() as connection:
        account = await table.lock_account(connection, account_id)
        moment = await table.suspend_account(connection, account.id)
        if account.suspended_at is None:
            await table.resume_account(connection, account.id)
        await append_watermark(
            connection, "account", account.id, upto=moment, reason="tokens ended"
        )
        await record(connection, actor, "account.end_tokens", account.id, reason=reason)


async def delete_account(database: Database, account_id: str, *, actor: str) -> None:
    """Delete an account with its keys and their tokens, for good. The audit trail stays."""
    async with database.transaction() as connection:
        account = await table.lock_account(connection, account_id)
        moment = await table.delete_account(connection, account.id)
        await append_watermark(
            connection, "account", account.id, upto=moment, reason="account deleted"
        )
        await record(connection, actor, "account.delete", account.id, name=account.name)


def _facts(account: Account) -> dict[str, object]:
    return {"name": account.name, "limits": asdict(account.limits)}
