"""Notices of the past: what the endpoints of the story have been told by now.

The events are found in the audit trail, as the service finds them. That they were delivered is
written by the demo itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokensvc.issuer.notices.acts import plan_acts_once

if TYPE_CHECKING:
    from tokensvc.store.pool import Connection, Database

# What the service would have deleted by now, and what was before an endpoint was there.
_FORGET: Final = (
    "delete from notice_event where at < clock_timestamp() - interval '30 days'",
    """
    delete from notice_delivery as delivery using notice_event as event, notice_endpoint as endpoint
    where event.number = delivery.event_number and endpoint.id = delivery.endpoint_id
        and event.at < endpoint.created_at
    """,
)
# One of eleven was taken only at the third attempt.
_DELIVER: Final = """
update notice_delivery as delivery
set created_at = event.at + interval '1 second',
    tried_at = event.at + case when late.is_so then interval '6 minutes' else interval '2 seconds'
        end,
    delivered_at = event.at + case when late.is_so then interval '6 minutes'
        else interval '2 seconds' end,
    attempts = case when late.is_so then 3 else 1 end, status = 204, next_at = null
from notice_event as event
    cross join lateral (select event.number % 11 = 7 as is_so) as late
where event.number = delivery.event_number
"""
_DONE: Final = "update notice_endpoint set due_at = null"


async def tell_receivers(database: Database, connection: Connection) -> None:
    """Let everything that has happened be told, and be delivered."""
    while await plan_acts_once(database):
        pass
    for statement in (*_FORGET, _DELIVER, _DONE):
        await connection.execute(statement)
