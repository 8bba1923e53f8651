"""Events of which somebody is told (`sql/queries/notice_event.sql`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tokensvc.core.notices.event import Notice
from tokensvc.store.page_query import Order, choose_conditions, fetch_page
from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime, timedelta

    import asyncpg

    from tokensvc.core.list_cursor import ListPlace
    from tokensvc.core.notices.event import NewNotice
    from tokensvc.store.page_query import PageWish

_SQL = load_queries("notice_event")
_NUMBER: Final = Order("number", "bigint", descending=True, id="number", id_type="bigint")
_FIELDS: Final = (
    "number", "id", "at", "name", "account_id", "subject", "subject_number", "detail",
)  # fmt: skip


class Act(NamedTuple):
    """An act in the audit trail, as far as it matters for notices. `account_id`: of the actor."""

    number: int
    at: datetime
    actor: str
    account_id: str | None
    operation: str
    subject: str
    detail: dict[str, Any]


class Described(NamedTuple):
    """Whose a key, an account or an endpoint is, and what it is called."""

    account_id: str | None
    name: str | None
    hint: str | None


class NoticeFilter(NamedTuple):
    """Which events are wanted; None asks for nothing."""

    account_id: str | None = None
    name: str | None = None
    subject: str | None = None
    since: datetime | None = None


async def append_notices(
    connection: asyncpg.Connection, notices: Sequence[NewNotice]
) -> dict[int, int]:
    """Append events, with a delivery for each endpoint that wants to know.

    Returns the number of each that was appended, by its place. All others who append wait until the
    commit. See `sql/functions/append_notices.sql`.
    """
    rows = await connection.fetch(
        _SQL["append"],
        [notice.name for notice in notices],
        [notice.at for notice in notices],
        [notice.account_id for notice in notices],
        [notice.subject for notice in notices],
        [notice.detail for notice in notices],
        [notice.once for notice in notices],
        [notice.endpoint_id for notice in notices],
    )
    # SQL counts places from 1.
    return {row["place"] - 1: row["number"] for row in rows}


async def take_acts(connection: asyncpg.Connection, most: int) -> list[Act]:
    """Return the next acts in the audit trail, and move on behind them when this is committed.

    Nothing is returned while another process does this.
    """
    after = await connection.fetchval(_SQL["lock_cursor"])
    if after is None:
        return []
    acts = [Act._make(row) for row in await connection.fetch(_SQL["list_acts"], after, most)]
    if acts:
        await connection.execute(_SQL["move_cursor"], acts[-1].number)
    return acts


async def claim_check(connection: asyncpg.Connection, pause: timedelta) -> bool:
    """Tell whether the check that is due every `pause` falls to the caller.

    Unless `complete_check` follows, it is due again after twenty seconds.
    """
    return await connection.fetchval(_SQL["claim_check"], pause) is not None


async def complete_check(connection: asyncpg.Connection) -> None:
    """Note that the check was done."""
    await connection.execute(_SQL["complete_check"])


async def describe_subjects(
    connection: asyncpg.Connection, ids: Collection[str]
) -> dict[str, Described]:
    """Return what is known of keys, accounts and endpoints, by id; also of deleted ones."""
    rows = await connection.fetch(_SQL["describe"], sorted(ids))
    return {row["id"]: Described(row["account_id"], row["name"], row["hint"]) for row in rows}


async def list_notice_page(
    connection: asyncpg.Connection, wanted: NoticeFilter, wish: PageWish
) -> tuple[list[Notice], ListPlace | None]:
    """Return a page of events, newest first, and the place where the next one begins."""
    possible: list[tuple[str, Any]] = [
        ("account_id = {}", wanted.account_id),
        ("name = {}", wanted.name),
        ("subject = {}", wanted.subject),
        ("at >= {}", wanted.since),
    ]
    conditions = choose_conditions(possible)
    page = await fetch_page(connection, "listed_notice", conditions, _NUMBER, wish)
    return [build_notice(row) for row in page.rows], page.end


async def delete_notices(connection: asyncpg.Connection, before: datetime, most: int) -> int:
    """Delete at most `most` events from before a moment, with their deliveries; return how many."""
    return len(await connection.fetch(_SQL["delete_before"], before, most))


def build_notice(row: asyncpg.Record) -> Notice:
    """Return the event in a row."""
    return Notice(**{name: row[name] for name in _FIELDS})
