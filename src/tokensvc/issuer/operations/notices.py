"""The operation that lists events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.issuer.operations.call import check_visible
from tokensvc.issuer.operations.paging import build_next_cursor, read_wish
from tokensvc.operations.model import ListPage
from tokensvc.operations.notices import Notice
from tokensvc.store.not_found import no_such_account
from tokensvc.store.notice_event import NoticeFilter, list_notice_page

if TYPE_CHECKING:
    from tokensvc.core.notices.event import Notice as Record
    from tokensvc.issuer.operations.call import Call
    from tokensvc.operations.notices import ListNotices


def build_notice(notice: Record) -> Notice:
    """Return an event as callers see it."""
    return Notice(
        id=notice.id,
        at=notice.at,
        event=notice.name,
        account=notice.account_id,
        subject=notice.subject,
        number=notice.subject_number,
        detail=notice.detail,
    )


async def list_(call: Call, request: ListNotices) -> ListPage[Notice]:
    """List events."""
    seen = call.principal.key_reader_of
    if request.account is not None:
        check_visible(seen, request.account, no_such_account(request.account))
    wanted = NoticeFilter(
        account_id=request.account or seen,
        name=request.event,
        subject=request.subject,
        since=request.since,
    )
    async with call.reading() as connection:
        found, end = await list_notice_page(connection, wanted, read_wish(request))
    items = [build_notice(notice) for notice in found]
    return ListPage[Notice](items=items, next_cursor=build_next_cursor(request, end))
