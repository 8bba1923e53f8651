"""Accounts (`sql/queries/account.sql`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import asyncpg

from tokensvc.core.account import Account, Contact
from tokensvc.core.denylist.record import ENDINGS
from tokensvc.core.identifier import AccountId
from tokensvc.core.keyring import LEEWAY
from tokensvc.core.limit import Limits
from tokensvc.core.notices.destination import find_mail_address
from tokensvc.store.audit_event import fetch_standing
from tokensvc.store.denylist import build_record
from tokensvc.store.not_found import no_such_account, unknown_tier
from tokensvc.store.page_query import Order, build_part_pattern, choose_conditions, fetch_page
from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tokensvc.core.account import AccountState
    from tokensvc.core.actor import Actor
    from tokensvc.core.denylist.record import Ending, RevocationRecord
    from tokensvc.core.list_cursor import ListPlace
    from tokensvc.store.page_query import PageWish

_SQL = load_queries("account")
_ORDERS: Final = {"created_at": Order("created_at", "timestamptz"), "name": Order("name")}


class AccountFilter(NamedTuple):
    """Which accounts are wanted. None asks for nothing."""

    id: str | None = None
    id_prefix: str | None = None
    part: str | None = None
    state: AccountState | None = None
    created_before: datetime | None = None
    sort: str = "created_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedAccount:
    """What became of an account that was to be ended.

    `outcome`: "ended" now; "repeated" if it had been before, and nothing was written; "unknown" if
    there is no such account. `account`: as it is afterwards, None if it is deleted. `records`: its
    revocations, oldest first.
    """

    outcome: Literal["ended", "repeated", "unknown"]
    account: Account | None
    records: list[RevocationRecord]


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
        raise no_such_account(account_id)
    return _account(row, _contact(row))


async def lock_account(connection: asyncpg.Connection, account_id: str) -> Account:
    """Return an account, held against exchanges until the transaction ends.

    Raises NotFoundError.
    """
    await connection.execute(_SQL["lock"], account_id)
    return await load_account(connection, account_id)


async def list_account_page(
    connection: asyncpg.Connection, wanted: AccountFilter, wish: PageWish
) -> tuple[list[Account], ListPlace | None]:
    """Return a page of accounts, and the place where the next one begins."""
    pattern = None if wanted.part is None else build_part_pattern(wanted.part)
    is_suspended = None if wanted.state is None else wanted.state == "suspended"
    possible: list[tuple[str, Any]] = [
        ("id = {}", wanted.id),
        ("starts_with(id, {})", wanted.id_prefix),
        ("name ilike {}", pattern),
        ("created_at < {}", wanted.created_before),
        ("(suspended_at is not null) = {}", is_suspended),
    ]
    conditions = choose_conditions(possible)
    order = _ORDERS[wanted.sort.removeprefix("-")]
    order = order._replace(descending=wanted.sort.startswith("-"))
    page = await fetch_page(connection, "listed_account_2", conditions, order, wish)
    return [_account(row, _contact(row)) for row in page.rows], page.end


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
        raise unknown_tier(str(limits.tier)) from error


async def resume_account(connection: asyncpg.Connection, account_id: str) -> None:
    """End a suspension."""
    await connection.execute(_SQL["resume"], account_id)


async def end_accounts(
    connection: asyncpg.Connection,
    ending: Ending,
    account_ids: Sequence[str],
    *,
    actor: Actor,
    detail: dict[str, Any],
) -> list[EndedAccount]:
    """Suspend or delete accounts, or revoke their tokens only; return what became of each.

    `detail` is for the audit trail. It is one statement, which commits itself if no transaction is
    open: see `sql/functions/end_accounts.sql`. Raises CallerEndedError.
    """
    acts = ending, ENDINGS[ending].operation, account_ids, actor.facts, detail, LEEWAY
    rows = await fetch_standing(connection, _SQL["end"], *acts, caller=actor.caller)
    return [
        EndedAccount(
            outcome=row["outcome"],
            account=None if row["shown"] is None else _account(row["shown"], _contact(row)),
            records=[build_record(record) for record in row["records"]],
        )
        for row in rows
    ]


def _account(row: asyncpg.Record, contact: Contact | None) -> Account:
    return Account(
        id=AccountId(row["id"]),
        name=row["name"],
        created_at=row["created_at"],
        suspended_at=row["suspended_at"],
        limits=Limits(tier=row["tier"], per_minute=row["per_minute"], per_day=row["per_day"]),
        minute_limit=row["minute_limit"],
        day_limit=row["day_limit"],
        contact=contact,
    )


def _contact(row: asyncpg.Record) -> Contact | None:
    if row["contact_id"] is None:
        return None
    return Contact(
        address=find_mail_address(row["contact_url"]) or "",
        endpoint_id=row["contact_id"],
        confirmed_at=row["contact_confirmed_at"],
    )
