"""The operation that lists the audit trail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.core.audit_event import AuditFilter
from tokensvc.core.audit_export import write_hex
from tokensvc.issuer.operations.paging import build_next_cursor, read_wish
from tokensvc.operations.audit_events import AuditEvent
from tokensvc.operations.model import ListPage
from tokensvc.store.audit_event import list_audit_page

if TYPE_CHECKING:
    from tokensvc.core.audit_event import AuditEvent as Record
    from tokensvc.issuer.operations.call import Call
    from tokensvc.operations.audit_events import ListAuditEvents


async def list_(call: Call, request: ListAuditEvents) -> ListPage[AuditEvent]:
    """List events."""
    wanted = AuditFilter(
        since=request.since,
        until=request.until,
        actor=request.actor,
        operation=request.operation,
        subject=request.subject,
        request_id=request.request_id,
    )
    async with call.reading() as connection:
        found, end = await list_audit_page(
            connection, wanted, read_wish(request), oldest_first=request.sort == "number"
        )
    items = [build_audit_event(event) for event in found]
    return ListPage[AuditEvent](items=items, next_cursor=build_next_cursor(request, end))


def build_audit_event(event: Record) -> AuditEvent:
    """Return an event as callers see it."""
    return AuditEvent(
        number=event.number,
        at=event.at,
        actor=event.actor,
        account=event.account_id,
        address=event.address,
        address_salt=write_hex(event.address_salt),
        address_commitment=write_hex(event.address_commitment),
        request_id=event.request_id,
        operation=event.operation,
        subject=event.subject,
        detail=event.detail,
        hash=event.hash.hex(),
    )
