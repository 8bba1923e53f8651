"""Audiences (`sql/queries/audience.sql`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import asyncpg

from tokensvc.core.audience import Audience
from tokensvc.core.errors import ConflictError
from tokensvc.store.not_found import no_such_audience
from tokensvc.store.planned import fetch_planned
from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from datetime import datetime, timedelta

_SQL = load_queries("audience")


class AudienceUse(NamedTuple):
    """How many keys name an audience, how many got their last token for it, and when one did."""

    keys: int
    users: int
    last_used_at: datetime | None


NO_USE: Final = AudienceUse(0, 0, None)


async def insert_audience(
    connection: asyncpg.Connection,
    name: str,
    description: str,
    token_life: timedelta | None,
    alg: str,
    typ: str,
    *,
    is_own: bool = False,
) -> Audience:
    """Store a new audience. Raises ConflictError if it exists.

    `is_own`: its tokens are for calls to the service itself.
    """
    try:
        await connection.execute(_SQL["insert"], name, description, token_life, alg, typ, is_own)
    except asyncpg.UniqueViolationError as error:
        raise ConflictError(f"the audience {name!r} exists already", pointer="/name") from error
    return await load_audience(connection, name)


async def load_audience(connection: asyncpg.Connection, name: str) -> Audience:
    """Return an audience. Raises NotFoundError."""
    row = await connection.fetchrow(_SQL["find"], name)
    if row is None:
        raise no_such_audience(name)
    return _audience(row)


async def lock_audience(connection: asyncpg.Connection, name: str) -> Audience:
    """As `load_audience`, held against other changes until the transaction ends."""
    await connection.execute(_SQL["lock"], name)
    return await load_audience(connection, name)


async def find_is_own(connection: asyncpg.Connection, name: str) -> bool | None:
    """Return whether an audience is the service's own, None if there is no such audience."""
    is_own: bool | None = await connection.fetchval(_SQL["find_is_own"], name)
    return is_own


async def list_audiences(connection: asyncpg.Connection) -> list[Audience]:
    """Return all audiences by name."""
    return [_audience(row) for row in await connection.fetch(_SQL["list"])]


async def list_audience_use(
    connection: asyncpg.Connection, account_id: str | None
) -> tuple[dict[str, AudienceUse], datetime]:
    """Return how each audience is used that some key names or uses, and when that was counted.

    `account_id`: whose keys are asked, None for all.
    """
    at: datetime = await connection.fetchval("select clock_timestamp()")
    rows = await fetch_planned(connection, _SQL["list_use"], account_id)
    # The columns behind the name stand in the order of the fields.
    return {row["name"]: AudienceUse(*list(row)[1:]) for row in rows}, at


async def update_audience(
    connection: asyncpg.Connection,
    name: str,
    description: str,
    token_life: timedelta | None,
    alg: str,
    typ: str,
) -> Audience:
    """Change an audience. Raises NotFoundError."""
    await connection.execute(_SQL["update"], name, description, token_life, alg, typ)
    return await load_audience(connection, name)


async def list_algorithms(connection: asyncpg.Connection) -> list[str]:
    """Return the algorithms that sign for some audience."""
    return [row["alg"] for row in await connection.fetch(_SQL["list_algorithms"])]


async def delete_audience(connection: asyncpg.Connection, name: str) -> None:
    """Delete an audience. Raises NotFoundError."""
    if await connection.fetchval(_SQL["delete"], name) is None:
        raise no_such_audience(name)


def _audience(row: asyncpg.Record) -> Audience:
    return Audience(**dict(row))
