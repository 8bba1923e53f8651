"""Tiers (`sql/queries/tier.sql`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg

from tokensvc.core.errors import ConflictError
from tokensvc.core.limit import Tier
from tokensvc.store.not_found import no_such_tier
from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from tokensvc.core.limit import TierLimits

_SQL = load_queries("tier")


async def insert_tier(
    connection: asyncpg.Connection, name: str, description: str, limits: TierLimits
) -> Tier:
    """Store a new tier. Raises ConflictError if it exists."""
    try:
        await connection.execute(_SQL["insert"], name, description, *limits)
    except asyncpg.UniqueViolationError as error:
        raise ConflictError(f"the tier {name!r} exists already", pointer="/name") from error
    return await lock_tier(connection, name)


async def load_tier(connection: asyncpg.Connection, name: str) -> Tier:
    """Return a tier. Raises NotFoundError."""
    return _parse_tier(name, await connection.fetchrow(_SQL["find"], name))


async def lock_tier(connection: asyncpg.Connection, name: str) -> Tier:
    """Return a tier, held against other changes until the transaction ends.

    Raises NotFoundError.
    """
    return _parse_tier(name, await connection.fetchrow(_SQL["lock"], name))


async def list_tiers(connection: asyncpg.Connection) -> list[Tier]:
    """Return all tiers by name."""
    return [Tier(**dict(row)) for row in await connection.fetch(_SQL["list"])]


async def list_tier_use(connection: asyncpg.Connection) -> dict[str, tuple[int, int]]:
    """Return how many accounts and how many keys have each tier; one that nobody has is absent."""
    rows = await connection.fetch(_SQL["list_use"])
    return {row["name"]: (row["accounts"], row["keys"]) for row in rows}


async def update_tier(
    connection: asyncpg.Connection, name: str, description: str, limits: TierLimits
) -> Tier:
    """Change a tier. Raises NotFoundError."""
    await connection.execute(_SQL["update"], name, description, *limits)
    return await lock_tier(connection, name)


async def delete_tier(connection: asyncpg.Connection, name: str) -> None:
    """Delete a tier. Raises NotFoundError, ConflictError if an account or key has it."""
    try:
        found = await connection.fetchval(_SQL["delete"], name)
    except asyncpg.ForeignKeyViolationError as error:
        owner = "an account" if error.constraint_name == "account_tier_fkey" else "a key"
        raise ConflictError(f"{owner} has the tier {name!r}; give it another one first") from error
    if found is None:
        raise no_such_tier(name)


def _parse_tier(name: str, row: asyncpg.Record | None) -> Tier:
    if row is None:
        raise no_such_tier(name)
    return Tier(**dict(row))
