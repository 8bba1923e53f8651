"""What is left of the limits of a key and of its account (`sql/queries/quota.sql`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tokensvc.core.limit import Quota
from tokensvc.store.not_found import no_such_account, no_such_key
from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from datetime import datetime

    import asyncpg

_SQL = load_queries("quota")


class Window(NamedTuple):
    """How many tokens were given out in a window, of how many, and when the next one begins."""

    used: int
    limit: int
    ends_at: datetime


class Windows(NamedTuple):
    """The windows of a key or of an account at the moment `at` of Postgres's clock."""

    minute: Window
    day: Window
    at: datetime


async def find_quota(
    connection: asyncpg.Connection, key_id: str
) -> tuple[Quota, datetime, list[datetime]] | None:
    """Return what is left of the limits of a key and its account; None if it does not exist.

    With it come Postgres's clock and when the windows began, in the order of the limits.
    """
    row = await connection.fetchrow(_SQL["find"], key_id)
    if row is None:
        return None
    # Two arrays come in the order of the fields: the limits, and what is left of each.
    return Quota(*row["most"], *row["left_over"]), row["at"], row["begun"]


async def load_account_windows(connection: asyncpg.Connection, account_id: str) -> Windows:
    """Return what all keys of an account have got of its limits. Raises NotFoundError."""
    row = await connection.fetchrow(_SQL["find_of_account"], account_id)
    if row is None:
        raise no_such_account(account_id)
    return _read_windows(row)


async def load_key_windows(connection: asyncpg.Connection, key_id: str) -> Windows:
    """Return what a key and those before it have got of its limits. Raises NotFoundError."""
    row = await connection.fetchrow(_SQL["find_of_key"], key_id)
    if row is None:
        raise no_such_key(key_id)
    return _read_windows(row)


def _read_windows(row: asyncpg.Record) -> Windows:
    return Windows(
        minute=Window(row["minute_used"], row["minute_limit"], row["minute_ends_at"]),
        day=Window(row["day_used"], row["day_limit"], row["day_ends_at"]),
        at=row["at"],
    )
