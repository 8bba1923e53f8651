"""What the service would have counted until now: usage by the hour, last uses, and windows."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from demo.cast import KEYS
from demo.story import LONG_GRACE_DAYS
from demo.traffic import count_exchanges

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from demo.cast import KeyPlan
    from tokensvc.store.pool import Connection

DAYS: Final = 31
_HOUR: Final = timedelta(hours=1)
_ENDED: Final = ("revoked_at", "disabled_at", "expires_at", "suspended_at")
_REFUSED: Final = {
    "revoked_at": "revoked",
    "disabled_at": "disabled",
    "expires_at": "expired",
    "suspended_at": "suspended",
}
_UNUSED_GRACE: Final = timedelta(days=LONG_GRACE_DAYS, hours=-9)
_STILL_TRIED: Final = 0.06  # of its exchanges, by clients that were not told

_PUT: Final = """
insert into api_key_usage (key_id, hour, outcome, count)
select * from unnest($1::text[], $2::timestamptz[], $3::text[], $4::bigint[])
on conflict (key_id, hour, outcome) do update set count = excluded.count
"""
# What the page of an account shows, and an overview. What the service itself has counted since is
# never made less.
_PUT_SUMS: Final = (
    """
insert into account_usage (account_id, hour, outcome, count)
select key.account_id, used.hour, used.outcome, sum(used.count)
from api_key_usage as used join api_key as key on key.id = used.key_id
where used.hour >= $1 group by key.account_id, used.hour, used.outcome
on conflict (account_id, hour, outcome) do update
set count = greatest(account_usage.count, excluded.count)
""",
    """
insert into exchange_count (hour, outcome, count)
select hour, outcome, sum(count) from api_key_usage where hour >= $1 group by hour, outcome
on conflict (hour, outcome) do update set count = greatest(exchange_count.count, excluded.count)
""",
)
_KEYS: Final = """
select key.id, key.name, key.created_at, key.expires_at, key.revoked_at, key.disabled_at,
    key.predecessor_id is not null as is_successor, account.suspended_at
from api_key as key join account on account.id = key.account_id
where account.name <> 'admin'
"""
_LAST_USE: Final = """
insert into api_key_last_use (key_id, at, network, audience)
select key.id,
    least(used.at, key.disabled_at, key.revoked_at, key.expires_at, account.suspended_at),
    coalesce(host(network(set_masklen(key.networks[1], 24))) || '/24',
    '10.' || 20 + hashtext(key.id) % 9 || '.7.0/24'), coalesce(key.audiences[1], 'api')
from (
    select key_id, least(max(hour) + interval '59 minutes',
        clock_timestamp() - (abs(hashtext(key_id)) % 240 || ' seconds')::interval) as at
    from api_key_usage where outcome = 'issued' group by key_id
) as used
    join api_key as key on key.id = used.key_id
    join account on account.id = key.account_id
on conflict (key_id) do update set at = excluded.at
"""
# Keys that were not used for a month were used once.
_LONG_AGO: Final = """
insert into api_key_last_use (key_id, at, network, audience)
select key.id, key.created_at + (clock_timestamp() - key.created_at) * 0.35, '10.31.4.0/24', 'api'
from api_key as key join account on account.id = key.account_id
where account.name <> 'admin'
    and key.created_at < clock_timestamp() - interval '45 days'
on conflict (key_id) do nothing
"""
_WINDOWS: Final = (
    """
    update api_key_window set day = date_trunc('day', $1::timestamptz, 'UTC'), day_count = sums.n
    from (
        select key.window_id, sum(used.count)::int as n
        from api_key_usage as used join api_key as key on key.id = used.key_id
        where used.outcome = 'issued' and used.hour >= date_trunc('day', $1::timestamptz, 'UTC')
        group by key.window_id
    ) as sums where sums.window_id = api_key_window.key_id
    """,
    """
    update account_window set day = date_trunc('day', $1::timestamptz, 'UTC'), day_count = sums.n
    from (
        select key.account_id, sum(used.count)::int as n
        from api_key_usage as used join api_key as key on key.id = used.key_id
        where used.outcome = 'issued' and used.hour >= date_trunc('day', $1::timestamptz, 'UTC')
        group by key.account_id
    ) as sums where sums.account_id = account_window.account_id
    """,
)


async def count_until(connection: Connection, now: datetime, seed: int) -> None:
    """Count what is missing up to `now`: a month at first, and later what has gone since.

    The same hour has the same numbers whenever it is counted; the present one grows. Keys that
    somebody has made since, or renamed, are left alone.
    """
    plans = {plan.name: plan for plan in KEYS}
    last: datetime | None = await connection.fetchval("select max(hour) from api_key_usage")
    present = now.replace(minute=0, second=0, microsecond=0)
    began_at = present - timedelta(days=DAYS) if last is None else last
    async with connection.transaction():
        for row in await connection.fetch(_KEYS):
            key = dict(row)
            plan = plans.get(key["name"])
            sums = [] if plan is None else list(_count_key(plan, key, began_at, now, seed))
            if sums:
                hours, outcomes, counts = zip(*sums, strict=True)
                ids = [key["id"]] * len(sums)
                await connection.execute(_PUT, ids, hours, outcomes, counts)
        for statement in _PUT_SUMS:
            await connection.execute(statement, began_at)
        await connection.execute(_LAST_USE)
        await connection.execute(_LONG_AGO)
        for statement in _WINDOWS:
            await connection.execute(statement, now)


def _count_key(
    plan: KeyPlan, key: dict[str, Any], began_at: datetime, now: datetime, seed: int
) -> Iterator[tuple[datetime, str, int]]:
    """Yield hours, outcomes and counts of a key."""
    hour = max(began_at, key["created_at"].replace(minute=0, second=0, microsecond=0) + _HOUR)
    ends = {name: key[name] for name in _ENDED if key[name] is not None}
    while hour <= now:
        share = min(1.0, (now - hour) / _HOUR)
        over = [name for name, end in ends.items() if end <= hour]
        for outcome, count in count_exchanges(plan, hour, seed).items():
            counted = int(count * share)
            if plan.fate == "rotated":  # the successor takes over within some hours
                counted = _share_with_other(counted, key, hour)
            elif plan.fate == "replaced" and not key["is_successor"]:
                counted = counted if hour < key["expires_at"] - _UNUSED_GRACE else 0
            if over:
                counted = int(counted * _STILL_TRIED)
                yield from [(hour, _REFUSED[over[0]], counted)] if counted else []
            elif counted:
                yield hour, outcome, counted
        hour += _HOUR


def _share_with_other(counted: int, key: dict[str, Any], hour: datetime) -> int:
    """Return the part of a key in what it and its successor or predecessor have together."""
    if not key["is_successor"]:
        return counted if key["expires_at"] - hour > timedelta(days=1) else int(counted * 0.3)
    return int(counted * 0.7)
