"""Accounts (`sql/queries/account.sql`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg

from tokensvc.core.account import Account
from tokensvc.core.denylist.record import ENDINGS
from tokensvc.core.errors import NotFoundError
from tokensvc.core.identifier import AccountId
from tokensvc.core.limit import Limits
from tokensvc.store.queries import load_queries
from tokensvc.store.tier import no_such_tier

if TYPE_CHECKING:
    from datetime import datetime

    from tokensvc.core.denylist.record import Ending

_SQL = load_queries("account")


async def insert_account(
    connection: asyncpg.Connection, account_id: AccountId, name: str
) -> Account:
    """Store a new account."""
    await connection.execute(_SQL["insert"], account_id, name)
    return await load_account(connection, account_id)


async def load_account(connection: asyncpg.Connection, account_id: str) -> Account:
    """Return an account. Raises NotFoundError."""
    row = await connection.fetchrow(_SQL["find"], account_id)
    if row is None:
        raise NotFoundError(f"there is no account {account_id[:40]!r}")
    return _account(row)


async def lock_account(connection: asyncpg.Connection, account_id: str) -> Account:
    """Return an account, held against exchanges until the transaction ends.

    Raises NotFoundError.
    """
    await connection.execute(_SQL["lock"], account_id)
    return await load_account(connection, account_id)


async def list_accounts(connection: asyncpg.Connection) -> list[Account]:
    """Return all accounts that are not deleted, oldest first."""
    return [_account(row) for row in await connection.fetch(_SQL["list"])]


async def has_accounts(connection: asyncpg.Connection) -> bool:
    """Tell whether there ever was an account, deleted ones included."""
    some: bool = await connection.fetchval(_SQL["any"])
    return some


async def update_account(
    connection: asyncpg.Connection, account_id: str, name: str, limits: Limits
) -> None:
    """Change name and limits. Raises NotFoundError for a tier that does not exist."""
    try:
        await connection.execute(
            _SQL["update"], account_id, name, limits.tier, limits.per_minute, limits.per_day
        )
    except asyncpg.ForeignKeyViolationError as error:
        raise no_such_tier(str(limits.tier)) from error


async def resume_account(connection: asyncpg.Connection, account_id: str) -> None:
    """End a suspension."""
    await connection.execute(_SQL["resume"], account_id)


async def end(connection: asyncpg.Connection, ending: Ending, account_id: str) -> datetime:
    """Suspend or delete an account, or revoke its tokens only; return the watermark.

    The row must be locked, so that nothing is issued between the clock's reading and the change.
    """
    verb = ENDINGS[ending].action.removeprefix("account.")
    watermark: datetime = await connection.fetchval(_SQL[verb], account_id)
    return watermark


async def raise_watermark(
    connection: asyncpg.Connection, account_id: str, watermark: datetime
) -> bool:
    """Lock an account's row and raise its watermark; False if there is no such account.

    Deleted accounts have a watermark too.
    """
    await connection.execute(_SQL["lock"], account_id)
    return await connection.fetchval(_SQL["raise_watermark"], account_id, watermark) is not None


def _account(row: asyncpg.Record) -> Account:
    return Account(
        id=AccountId(row["id"]),
        name=row["name"],
        created_at=row["created_at"],
        suspended_at=row["suspended_at"],
        limits=Limits(tier=row["tier"], per_minute=row["per_minute"], per_day=row["per_day"]),
        minute_limit=row["minute_limit"],
        day_limit=row["day_limit"],
    )
