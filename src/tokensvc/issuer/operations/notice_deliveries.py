"""Operations on deliveries of notices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.issuer.notices import deliveries
from tokensvc.issuer.operations.call import check_visible
from tokensvc.issuer.operations.paging import build_next_cursor, read_wish
from tokensvc.operations.model import ListPage
from tokensvc.operations.notice_deliveries import NoticeDelivery
from tokensvc.store import notice_delivery as table
from tokensvc.store.not_found import no_such_account

if TYPE_CHECKING:
    from tokensvc.issuer.operations.call import Call
    from tokensvc.operations.notice_deliveries import (
        ListNoticeDeliveries,
        NoticeDeliveryRequest,
    )
    from tokensvc.store.notice_delivery import Delivery


def build_delivery(delivery: Delivery) -> NoticeDelivery:
    """Return a delivery as callers see it."""
    return NoticeDelivery(
        id=str(delivery.id),
        endpoint=delivery.endpoint_id,
        account=delivery.account_id,
        notice=delivery.notice_id,
        event=delivery.name,
        subject=delivery.subject,
        state=delivery.state,
        created_at=delivery.created_at,
        attempts=delivery.attempts,
        tried_at=delivery.tried_at,
        next_at=delivery.next_at,
        delivered_at=delivery.delivered_at,
        status=delivery.status,
        error=delivery.error,
    )


async def list_(call: Call, request: ListNoticeDeliveries) -> ListPage[NoticeDelivery]:
    """List deliveries."""
    seen = call.principal.key_reader_of
    if request.account is not None:
        check_visible(seen, request.account, no_such_account(request.account))
    wanted = table.DeliveryFilter(
        account_id=request.account or seen,
        endpoint_id=request.endpoint,
        name=request.event,
        state=request.state,
    )
    async with call.reading() as connection:
        found, end = await table.list_delivery_page(connection, wanted, read_wish(request))
    items = [build_delivery(delivery) for delivery in found]
    return ListPage[NoticeDelivery](items=items, next_cursor=build_next_cursor(request, end))


async def redeliver(call: Call, request: NoticeDeliveryRequest) -> NoticeDelivery:
    """Send a notice once more."""
    seen = call.principal.key_owner_of

    def check(delivery: Delivery) -> None:
        if seen is not None and delivery.account_id != seen:
            raise table.no_such_delivery(delivery.id)

    repeated = await deliveries.redeliver(
        call.changes, int(request.id), actor=call.actor, check=check
    )
    return build_delivery(repeated)
