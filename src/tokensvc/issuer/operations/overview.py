"""The operation that shows what is going on."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from tokensvc.issuer.operations.usage import build_hours
from tokensvc.operations.overview import KeyCounts, Overview
from tokensvc.store.api_key import count_api_keys
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
        keys = await count_api_keys(connection, account_id, now)
    return Overview(hours=build_hours(counts), keys=KeyCounts(**keys), since=since, until=now)
