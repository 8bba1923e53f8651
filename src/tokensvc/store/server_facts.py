"""What Postgres says of itself (`sql/queries/server.sql`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from datetime import datetime

    import asyncpg

_SQL = load_queries("server")


class ServerFacts(NamedTuple):
    """Postgres at one moment. `connections`: of all programs, to this database."""

    at: datetime
    version: str
    started_at: datetime
    connections: int
    connections_allowed: int
    size_bytes: int


async def load_server_facts(connection: asyncpg.Connection) -> ServerFacts:
    """Return what Postgres says of itself."""
    (row,) = await connection.fetch(_SQL["load"])
    return ServerFacts(**dict(row))


async def load_newest_migration(connection: asyncpg.Connection) -> str | None:
    """Return the newest migration that the database has seen, None if it has seen none."""
    newest: str | None = await connection.fetchval(_SQL["load_newest_migration"])
    return newest


async def load_notification_queue(connection: asyncpg.Connection) -> float:
    """Return how full Postgres's queue of notifications is, from 0 to 1."""
    full: float = await connection.fetchval(_SQL["load_notification_queue"])
    return full
