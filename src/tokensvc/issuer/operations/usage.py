"""The operation that shows how a key is used."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tokensvc.core.usage import ISSUED
from tokensvc.issuer.operations.call import check_visible
from tokensvc.operations.usage import HourOfUse, LastUse, Usage
from tokensvc.store import usage as table
from tokensvc.store.absent import no_such_key
from tokensvc.store.api_key import load_api_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokensvc.core.usage import HourOfUse as Count
    from tokensvc.core.usage import LastUse as LastUseRecord
    from tokensvc.issuer.operations.call import Call
    from tokensvc.operations.usage import UsageRequest


async def show(call: Call, request: UsageRequest) -> Usage:
    """Show the use of a key."""
    async with call.reading() as connection:
        listed = await load_api_key(connection, request.key)
        check_visible(
            call.principal.key_reader_of, listed.record.account_id, no_such_key(request.key)
        )
        since = listed.at - timedelta(seconds=request.since)
        counts = await table.list_usage(connection, listed.record.id, since)
        last = await table.find_last_use(connection, listed.record.id)
    return Usage(
        id=listed.record.id,
        last_used=None if last is None else build_last_use(last),
        hours=build_hours(counts),
        since=since,
        until=listed.at,
    )


def build_last_use(last: LastUseRecord) -> LastUse:
    """Return the last use of a key as callers see it."""
    at = datetime.fromtimestamp(last.at, UTC)
    return LastUse(at=at, network=last.network, audience=last.audience)


def build_hours(counts: Iterable[Count]) -> list[HourOfUse]:
    """Return sums by hour, in the order of the hours."""
    by_hour: dict[datetime, dict[str, int]] = {}
    for count in counts:
        by_hour.setdefault(count.hour, {})[count.outcome] = count.count
    return [
        HourOfUse(hour=hour, issued=outcomes.pop(ISSUED, 0), refused=outcomes)
        for hour, outcomes in by_hour.items()
    ]
