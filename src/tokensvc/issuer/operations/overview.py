"""The operation that shows what is going on."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from tokensvc.issuer.operations.counting import count_all, count_keys
from tokensvc.issuer.operations.usage import build_hours
from tokensvc.operations.overview import Overview
from tokensvc.store.feed_head import list_heads
from tokensvc.store.usage import list_usage_of_all

if TYPE_CHECKING:
    from tokensvc.issuer.operations.call import Call
    from tokensvc.operations.overview import OverviewRequest


async def show(call: Call, request: OverviewRequest) -> Overview:
    """Show what is going on."""
    account_id = call.principal.key_reader_of
    async with call.reading() as connection:
        _, now = await list_heads(connection)
        since = now - timedelta(seconds=request.since)
        counts = await list_usage_of_all(connection, account_id, since)
    keys = await count_keys(call, account_id)
    return Overview(
        hours=build_hours(counts),
        keys=keys.value,
        keys_counted_at=keys.at,
        things=await count_all(call) if account_id is None else None,
        since=since,
        until=now,
    )
