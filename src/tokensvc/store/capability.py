"""Capabilities (`sql/queries/capability.sql`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg

from tokensvc.core.capability import Capability
from tokensvc.core.errors import ConflictError
from tokensvc.store.not_found import no_such_capability
from tokensvc.store.planned import fetch_planned
from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

_SQL = load_queries("capability")


async def insert_capability(
    connection: asyncpg.Connection, name: str, description: str
) -> Capability:
    """Store a new capability. Raises ConflictError if it exists."""
    try:
        rows = await connection.fetch(_SQL["insert"], name, description)
    except asyncpg.UniqueViolationError as error:
        raise ConflictError(f"the capability {name!r} exists already", pointer="/name") from error
    return Capability(**dict(rows[0]))


async def insert_missing_capability(connection: asyncpg.Connection, name: str) -> bool:
    """Store a capability unless it exists; return whether it was new."""
    return await connection.fetchval(_SQL["insert_missing"], name) is not None


async def list_capabilities(connection: asyncpg.Connection) -> list[Capability]:
    """Return all capabilities by name."""
    return [Capability(**dict(row)) for row in await connection.fetch(_SQL["list"])]


async def load_capability(connection: asyncpg.Connection, name: str) -> Capability:
    """Return a capability. Raises NotFoundError."""
    return _parse_capability(name, await connection.fetchrow(_SQL["find"], name))


async def lock_known(connection: asyncpg.Connection, names: Collection[str]) -> frozenset[str]:
    """Return those of `names` that exist; they cannot be removed before the transaction ends."""
    return frozenset(row["name"] for row in await connection.fetch(_SQL["find_known"], list(names)))


async def lock_capability(connection: asyncpg.Connection, name: str) -> Capability:
    """As `load_capability`, held against other changes until the transaction ends."""
    return _parse_capability(name, await connection.fetchrow(_SQL["lock"], name))


async def update_capability(
    connection: asyncpg.Connection, name: str, description: str
) -> Capability:
    """Change a capability. Raises NotFoundError."""
    return _parse_capability(name, await connection.fetchrow(_SQL["update"], name, description))


async def count_holders(
    connection: asyncpg.Connection, account_id: str | None
) -> tuple[dict[str, int], datetime]:
    """Return how many keys hold each capability that some key holds, and when.

    `account_id`: the account whose keys are counted, None for all.
    """
    at: datetime = await connection.fetchval("select clock_timestamp()")
    rows = await fetch_planned(connection, _SQL["count_holders"], account_id)
    return {row["name"]: row["keys"] for row in rows}, at


async def delete_capability(connection: asyncpg.Connection, name: str) -> None:
    """Delete a capability. Raises NotFoundError."""
    if await connection.fetchval(_SQL["delete"], name) is None:
        raise no_such_capability(name)


def _parse_capability(name: str, row: asyncpg.Record | None) -> Capability:
    if row is None:
        raise no_such_capability(name)
    return Capability(**dict(row))
