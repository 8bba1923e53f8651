"""The operation that lists the audit trail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.issuer.audit import list_events
from tokensvc.operations.audit_events import AuditEvent
from tokensvc.operations.model import Page

if TYPE_CHECKING:
    from tokensvc.issuer.operations.call import Call
    from tokensvc.operations.audit_events import ListAuditEvents


async def list_(call: Call, request: ListAuditEvents) -> Page[AuditEvent]:
    """List events, newest first."""
    found = await list_events(call.database, subject=request.subject, most=request.limit)
    items = [
        AuditEvent(
            number=event.number,
            at=event.at,
            actor=event.actor,
            account=event.account_id,
            address=event.address,
            address_salt=None if event.address_salt is None else event.address_salt.hex(),
            address_commitment=(
                None if event.address_commitment is None else event.address_commitment.hex()
            ),
            request_id=event.request_id,
            operation=event.operation,
            subject=event.subject,
            detail=event.detail,
            hash=event.hash.hex(),
        )
        for event in found
    ]
    return Page[AuditEvent](items=items, next_cursor=None)
