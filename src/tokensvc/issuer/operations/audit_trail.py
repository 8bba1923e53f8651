"""The operation that shows where the audit trail ends, and checks its newest events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.issuer.admin.audit_check import check_newest
from tokensvc.operations.audit_events import AuditTrail

if TYPE_CHECKING:
    from tokensvc.issuer.operations.call import Call
    from tokensvc.operations.audit_events import AuditTrailRequest


async def show(call: Call, request: AuditTrailRequest) -> AuditTrail:
    """Show where the trail ends, and check its newest events."""
    found = await check_newest(call.database, call.settings, request.newest)
    broken = found.broken
    return AuditTrail(
        state="whole" if broken is None else "broken",
        checked=found.checked,
        broken_at=None if broken is None else broken.number,
        reason=None if broken is None else broken.reason,
        checkpoint=found.checkpoint,
        number=found.head.number,
        hash=found.head.hash.hex(),
        epoch=found.head.epoch,
    )
