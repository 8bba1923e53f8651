"""Accounts: create, change, resume. What ends them is `issuer.revoking.endings`."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final

from tokensvc.core.account import parse_name
from tokensvc.core.identifier import new_account_id
from tokensvc.core.limit import DEFAULT_TIER, LimitChanges, Limits, change_limits
from tokensvc.issuer.audit import Trail, record
from tokensvc.issuer.database import accept
from tokensvc.issuer.notices.contact import change_contact
from tokensvc.store import account as table

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokensvc.core.account import Account
    from tokensvc.core.actor import Actor
    from tokensvc.issuer.database import Transactions
    from tokensvc.store.pool import Connection

    AccountCheck = Callable[[Account], None]

_NO_CHANGES: Final = LimitChanges()


async def create_account(
    database: Transactions,
    name: str,
    *,
    limits: LimitChanges = _NO_CHANGES,
    contact: str = "",
    actor: Actor,
) -> Account:
    """Create an account; the mailbox that is its `contact` is sent a link.

    Raises InvalidInputError, NotFoundError for a tier that does not exist.
    """
    async with database.transaction() as connection:
        trail = Trail(actor)
        account = await insert_account(connection, name, trail, limits=limits)
        if contact:
            await change_contact(connection, account.id, contact, trail)
            account = await table.load_account(connection, account.id)
        await trail.append(connection)
        return account


async def insert_account(
    connection: Connection, name: str, trail: Trail, *, limits: LimitChanges = _NO_CHANGES
) -> Account:
    """As `create_account`, inside a transaction that is open already."""
    account = await table.insert_account(connection, new_account_id(), parse_name(name))
    if limits != _NO_CHANGES:
        changed = _change_limits(account, limits)
        await table.update_account(connection, account.id, account.name, changed)
        account = await table.load_account(connection, account.id)
    trail.note("accounts.create", account.id, **_facts(account))
    return account


async def update_account(
    database: Transactions,
    account_id: str,
    *,
    name: str | None = None,
    limits: LimitChanges = _NO_CHANGES,
    contact: str | None = None,
    actor: Actor,
    check: AccountCheck = accept,
) -> Account:
    """Change the name, the limits that hold for all its keys together, and the contact.

    What has been counted stays counted. `contact`: "" for none. `check` may refuse the account as
    it was. Raises NotFoundError, InvalidInputError, ConflictError.
    """
    async with database.transaction() as connection:
        before = await table.lock_account(connection, account_id)
        check(before)
        new_name = before.name if name is None else parse_name(name)
        changed = _change_limits(before, limits)
        await table.update_account(connection, before.id, new_name, changed)
        trail = Trail(actor)
        if contact is not None:
            await change_contact(connection, before.id, contact, trail)
        after = await table.load_account(connection, before.id)
        trail.note("accounts.update", before.id, before=_facts(before), after=_facts(after))
        await trail.append(connection)
        return after


async def set_contact(
    database: Transactions,
    account_id: str,
    contact: str,
    *,
    actor: Actor,
    check: AccountCheck = accept,
) -> Account:
    """Change the contact and nothing else; "" for none. Raises NotFoundError, ConflictError."""
    async with database.transaction() as connection:
        before = await table.lock_account(connection, account_id)
        check(before)
        trail = Trail(actor)
        await change_contact(connection, before.id, contact, trail)
        after = await table.load_account(connection, before.id)
        detail = {"before": _find_endpoint(before), "after": _find_endpoint(after)}
        trail.note("accounts.set-contact", before.id, **detail)
        await trail.append(connection)
        return after


async def resume_account(
    database: Transactions, account_id: str, *, actor: Actor, check: AccountCheck = accept
) -> Account:
    """End a suspension. Tokens from before stay revoked. Raises NotFoundError."""
    async with database.transaction() as connection:
        account = await table.lock_account(connection, account_id)
        check(account)
        if account.suspended_at is None:
            return account
        await table.resume_account(connection, account.id)
        resumed = await table.load_account(connection, account.id)
        await record(connection, actor, "accounts.resume", account.id)
    return resumed


def _change_limits(account: Account, limits: LimitChanges) -> Limits:
    changed = change_limits(account.limits, limits)
    # An account always has a tier: without one of its own it has the default one.
    return changed if changed.tier is not None else replace(changed, tier=DEFAULT_TIER)


def _facts(account: Account) -> dict[str, object]:
    return {
        "name": account.name,
        "limits": asdict(account.limits),
        "contact": _find_endpoint(account),
    }


def _find_endpoint(account: Account) -> str | None:
    """Return what the audit trail keeps of the contact: an address is personal."""
    return None if account.contact is None else account.contact.endpoint_id
