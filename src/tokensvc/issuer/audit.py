"""The audit trail: every change, written in the transaction of the act itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.core.audit_chain import check_detail
from tokensvc.store.audit_event import NewAuditEvent, append_audit_events

if TYPE_CHECKING:
    from tokensvc.core.actor import Actor
    from tokensvc.core.operation_name import OperationName
    from tokensvc.store.pool import Connection


class Trail:
    """What a transaction writes to the audit trail: noted on the way, appended at its end.

    Everybody else who changes something waits from `append` to the commit. So nothing follows it
    but what locks `feed_head`.
    """

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._noted: list[NewAuditEvent] = []

    @property
    def is_begun(self) -> bool:
        """Whether anything was noted that is not written yet."""
        return bool(self._noted)

    def note(self, operation: OperationName, subject: str, **detail: object) -> None:
        """Note what is done to `subject`. `detail` is shown to admins: no secrets.

        Raises ValueError for a number with a fraction, which the chain cannot hold.
        """
        check_detail(detail)
        self._noted.append(NewAuditEvent(operation, subject, detail))

    async def append(self, connection: Connection) -> None:
        """Write what was noted."""
        if self._noted:
            await append_audit_events(connection, self._actor, self._noted)
            self._noted.clear()


async def record(
    connection: Connection, actor: Actor, operation: OperationName, subject: str, **detail: object
) -> None:
    """Write one event. It comes last, as `Trail.append` says."""
    trail = Trail(actor)
    trail.note(operation, subject, **detail)
    await trail.append(connection)
