"""The audit trail (`sql/queries/audit_event.sql`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from datetime import datetime

    import asyncpg

    from tokensvc.core.actor import Actor

_SQL = load_queries("audit_event")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """Who did what to what, when. `detail` never holds a secret."""

    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]


async def append_audit_event(
    connection: asyncpg.Connection,
    *,
    actor: Actor,
    action: str,
    subject: str,
    detail: dict[str, Any],
) -> None:
    """Write one event, in the transaction of the act itself, before anything locks `feed_head`."""
    await connection.execute(_SQL["append"], actor.facts, action, subject, detail)


async def list_audit_events(
    connection: asyncpg.Connection, *, subject: str | None, most: int
) -> list[AuditEvent]:
    """Return the newest events first, of one subject or of all."""
    return [AuditEvent(**dict(row)) for row in await connection.fetch(_SQL["list"], subject, most)]
