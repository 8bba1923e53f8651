"""Where the audit trail begins, and deleting what is old (`sql/queries/audit_event.sql`).

Only the owner of the tables may change anything here, except that addresses are deleted by all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tokensvc.core.audit_event import AuditHead
from tokensvc.core.errors import ConflictError
from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from datetime import datetime

    import asyncpg

    from tokensvc.core.actor import Actor

_SQL = load_queries("audit_event")
_PATIENCE: Final = 3600.0  # seconds: millions of events may go at once


class CheckpointRow(NamedTuple):
    """A checkpoint as it is stored; only its signature proves what it says."""

    number: int
    at: datetime
    jws: str


async def check_owner(connection: asyncpg.Connection) -> None:
    """Raise ConflictError unless the role of this connection may do what only the owner may."""
    if not await connection.fetchval(_SQL["is_owner"]):
        raise ConflictError(
            "only the owner of the tables may do that: name it in TOKENSVC_MIGRATION_DATABASE_URL"
        )


async def find_checkpoint(connection: asyncpg.Connection) -> CheckpointRow | None:
    """Return the newest checkpoint, None if no event was ever deleted."""
    row = await connection.fetchrow(_SQL["find_checkpoint"])
    return None if row is None else CheckpointRow(**dict(row))


async def find_last_before(connection: asyncpg.Connection, moment: datetime) -> int | None:
    """Return the greatest number up to which all events are older than `moment`."""
    # Sessions have a limit of a few seconds in Postgres. The driver still ends it after an hour.
    await connection.execute("set local statement_timeout = 0")
    number: int | None = await connection.fetchval(
        _SQL["find_last_before"], moment, timeout=_PATIENCE
    )
    return number or None


async def delete_events_upto(connection: asyncpg.Connection, number: int, jws: str) -> None:
    """Store a checkpoint, and delete all events up to its number, in a transaction."""
    await connection.execute("set local statement_timeout = 0")
    # The trigger of the table lets go of nothing beyond a checkpoint that is stored.
    await connection.execute(_SQL["insert_checkpoint"], number, jws)
    for name in ("delete_addresses_upto", "delete_upto"):
        await connection.execute(_SQL[name], number, timeout=_PATIENCE)


async def delete_addresses(connection: asyncpg.Connection, before: datetime, most: int) -> int:
    """Delete at most `most` addresses of events before a moment; return how many."""
    return len(await connection.fetch(_SQL["delete_addresses_before"], before, most))


async def declare_reset(connection: asyncpg.Connection, actor: Actor, reason: str) -> AuditHead:
    """Give the head of the trail a new epoch, with an event that says why; return the head."""
    (row,) = await connection.fetch(_SQL["declare_reset"], actor.facts, reason)
    return AuditHead(**dict(row))
