"""What shows whether somebody must be told something (`sql/queries/notice_facts.sql`)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import timedelta

    import asyncpg

_SQL = load_queries("notice_facts")
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


class UsedLimit(NamedTuple):
    """How much of its limit of a day a key or an account has used. `hint` is None for accounts."""

    id: str
    account_id: str
    name: str
    hint: str | None
    used: int
    limit: int
    day: datetime


class BusyKey(NamedTuple):
    """How many tokens a key got in this hour, and in the busiest of the seven days before."""

    id: str
    account_id: str
    name: str
    hint: str
    hour: datetime
    used: int
    age: timedelta
    earlier_most: int


class KeyInGrace(NamedTuple):
    """A key that was used although it has a successor."""

    id: str
    account_id: str
    name: str
    hint: str
    expires_at: datetime
    successor_id: str
    day: datetime


class ExpiringKey(NamedTuple):
    """A key that ends soon. `at`: Postgres's clock."""

    id: str
    account_id: str
    name: str
    hint: str
    created_at: datetime
    expires_at: datetime
    at: datetime


class IdleKey(NamedTuple):
    """A key that nobody uses."""

    id: str
    account_id: str
    name: str
    hint: str
    last_used_at: datetime | None


async def list_limits(connection: asyncpg.Connection, key_ids: Sequence[str]) -> list[UsedLimit]:
    """Return how much of today's limits these keys and their accounts have used."""
    return [UsedLimit._make(row) for row in await connection.fetch(_SQL["list_limits"], key_ids)]


async def list_busy(
    connection: asyncpg.Connection, key_ids: Sequence[str], least: int
) -> list[BusyKey]:
    """Return those of the keys that got more than `least` tokens in this hour."""
    return [BusyKey._make(row) for row in await connection.fetch(_SQL["list_busy"], key_ids, least)]


async def list_in_grace(connection: asyncpg.Connection, key_ids: Sequence[str]) -> list[KeyInGrace]:
    """Return those of the keys that were rotated and have not ended yet."""
    return [KeyInGrace._make(row) for row in await connection.fetch(_SQL["list_in_grace"], key_ids)]


async def read_expiring(
    connection: asyncpg.Connection, within: timedelta, at_once: int
) -> AsyncIterator[list[ExpiringKey]]:
    """Go through the active keys that end soon, `at_once` at a time."""
    place = (_LONG_AGO, "")
    while True:
        rows = await connection.fetch(_SQL["list_expiring"], within, *place, at_once)
        if rows:
            yield [ExpiringKey._make(row) for row in rows]
        if len(rows) < at_once:
            return
        # The place needs both, because several keys may end at the same moment.
        place = (rows[-1]["expires_at"], rows[-1]["id"])


async def list_idle(connection: asyncpg.Connection, before: datetime, most: int) -> list[IdleKey]:
    """Return active keys that nobody has used since `before`, and that were not told of lately."""
    return [IdleKey._make(row) for row in await connection.fetch(_SQL["list_idle"], before, most)]


async def find_accounts_of(
    connection: asyncpg.Connection, key_ids: Sequence[str]
) -> dict[str, str]:
    """Return the account of each key."""
    rows = await connection.fetch(_SQL["list_accounts_of"], key_ids)
    return {row["id"]: row["account_id"] for row in rows}


async def load_clock(connection: asyncpg.Connection) -> datetime:
    """Return Postgres's clock."""
    at: datetime = await connection.fetchval(_SQL["load_clock"])
    return at
