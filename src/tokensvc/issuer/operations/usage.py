"""Operations that show how keys are used."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from tokensvc.core.usage import ISSUED
from tokensvc.issuer.operations.call import check_visible
from tokensvc.issuer.operations.paging import cut_page
from tokensvc.operations.model import ListPage, split_ids
from tokensvc.operations.usage import HourOfUse, KeyUsage, LastUse, Usage, WindowUse
from tokensvc.store import usage as table
from tokensvc.store.api_key import load_api_key, load_api_keys
from tokensvc.store.not_found import no_such_key
from tokensvc.store.quota import load_key_windows

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from tokensvc.core.api_key import ApiKeyRecord, ListedKey
    from tokensvc.core.usage import HourOfUse as Count
    from tokensvc.issuer.operations.call import Call
    from tokensvc.operations.usage import UsageOfKeysRequest, UsageRequest
    from tokensvc.store.quota import Window


async def show(call: Call, request: UsageRequest) -> KeyUsage:
    """Show the use of a key."""
    async with call.reading() as connection:
        listed = await load_api_key(connection, request.key)
        check_visible(
            call.principal.key_reader_of, listed.record.account_id, no_such_key(request.key)
        )
        since = listed.at - timedelta(seconds=request.since)
        counts = await table.list_usage(connection, listed.record.id, since)
        windows = await load_key_windows(connection, listed.record.id)
    return KeyUsage(
        **dict(_build_usage(listed, counts, since)),
        minute=build_window(windows.minute),
        day=build_window(windows.day),
    )


async def list_(call: Call, request: UsageOfKeysRequest) -> ListPage[Usage]:
    """Show the use of several keys, by their ids."""
    seen = call.principal.key_reader_of
    async with call.reading() as connection:
        found = await load_api_keys(connection, split_ids(request.ids))
        seen_ids = [i for i, key in found.items() if seen in {None, key.record.account_id}]
        ids, next_cursor = cut_page(request, sorted(seen_ids), str)
        if not ids:
            return ListPage[Usage](items=[], next_cursor=next_cursor)
        since = found[ids[0]].at - timedelta(seconds=request.since)
        counts = await table.list_usage_of_many(connection, ids, since)
    items = [_build_usage(found[key_id], counts.get(key_id, []), since) for key_id in ids]
    return ListPage[Usage](items=items, next_cursor=next_cursor)


def build_last_use(key: ApiKeyRecord) -> LastUse | None:
    """Return the last use of a key as callers see it, None if there was none."""
    if key.last_used_at is None:
        return None
    return LastUse(
        at=key.last_used_at,
        network=key.last_used_network or "",
        audience=key.last_used_audience or "",
    )


def build_window(window: Window) -> WindowUse:
    """Return a window of a limit as callers see it."""
    return WindowUse(used=window.used, limit=window.limit, ends_at=window.ends_at)


def build_hours(counts: Iterable[Count]) -> list[HourOfUse]:
    """Return sums by hour, in the order of the hours."""
    by_hour: dict[datetime, dict[str, int]] = {}
    for count in counts:
        by_hour.setdefault(count.hour, {})[count.outcome] = count.count
    return [
        HourOfUse(hour=hour, issued=outcomes.pop(ISSUED, 0), refused=outcomes)
        for hour, outcomes in by_hour.items()
    ]


def _build_usage(listed: ListedKey, counts: Iterable[Count], since: datetime) -> Usage:
    return Usage(
        id=listed.record.id,
        last_used=build_last_use(listed.record),
        hours=build_hours(counts),
        since=since,
        until=listed.at,
    )
