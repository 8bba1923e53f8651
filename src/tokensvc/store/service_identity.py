"""Who this service is, as its starts say (`sql/queries/service_identity.sql`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.core.service_identity import Identity
from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    import asyncpg

_SQL = load_queries("service_identity")


async def lock_identity(connection: asyncpg.Connection) -> Identity | None:
    """Return what is kept, None if nothing is; nobody else changes it in the meantime."""
    row = await connection.fetchrow(_SQL["find"])
    return None if row is None else Identity(**dict(row))


async def replace_identity(connection: asyncpg.Connection, identity: Identity) -> None:
    """Keep `identity` in the place of what was kept."""
    await connection.execute(_SQL["replace"], identity.issuer, identity.key_prefix)
