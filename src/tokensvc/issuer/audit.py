"""The audit trail: every change, written in the transaction of the act itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.store.audit_event import append_audit_event, list_audit_events

if TYPE_CHECKING:
    from tokensvc.core.actor import Actor
    from tokensvc.store.audit_event import AuditEvent
    from tokensvc.store.pool import Connection, Database


async def record(
    connection: Connection, actor: Actor, action: str, subject: str, **detail: object
) -> None:
    """Write that `actor` did `action` to `subject`. `detail` is shown to admins: no secrets."""
    await append_audit_event(connection, actor=actor, action=action, subject=subject, detail=detail)


async def list_events(database: Database, *, subject: str | None, most: int) -> list[AuditEvent]:
    """Return the newest `most` events, of one subject or of all."""
    async with database.connection() as connection:
        return await list_audit_events(connection, subject=subject, most=most)
