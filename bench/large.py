"""A large installation, made by SQL: accounts, very many keys, a year of their use, and the rest.

Every page of the dashboard and every list is measured with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bench.long_denylist import fill as fill_denylist
from tokensvc.store.primary import connect

if TYPE_CHECKING:
    import asyncpg

DAYS: Final = 365
_ENTRIES: Final = 20_000  # of the denylist
_TIMEOUT: Final = 1200.0

_NAMES: Final = """
with made as (
    insert into capability (name, description, created_at)
    select word || ':' || verb, 'May ' || verb || ' ' || word, clock_timestamp()
    from unnest(array['orders', 'stock', 'billing', 'mail', 'search', 'users', 'reports', 'jobs'])
        as word, unnest(array['read', 'write', 'admin', 'export', 'delete']) as verb
    on conflict do nothing
),
audiences as (
    insert into audience (name, description, created_at)
    select 'https://api-' || n || '.example', '', clock_timestamp() from generate_series(1, 20) n
)
insert into tier (
    name, description, key_per_minute, key_per_day, account_per_minute, account_per_day, created_at
)
select 'tier-' || n, '', 100 * n, 10000 * n, 1000 * n, 100000 * n, clock_timestamp()
from generate_series(1, 8) n
"""
# 500 accounts beside the large one, some of them suspended or deleted.
_ACCOUNTS: Final = """
with made as (
    insert into account (id, name, created_at, suspended_at, deleted_at, tier)
    select 'acct_' || lpad(n::text, 16, '0'), 'Team ' || md5(n::text),
        clock_timestamp() - n * interval '10 hours',
        case when n % 50 = 0 then clock_timestamp() end,
        case when n % 60 = 0 then clock_timestamp() end,
        case when n % 9 = 0 then 'tier-' || 1 + n % 8 else 'default' end
    from generate_series(1, 500) n
    returning id
)
insert into account_window (account_id) select id from made
"""
# Every tenth key belongs to another account; each account has its own share of all states.
_KEYS: Final = """
insert into api_key (
    id, account_id, digest, hint, name, description, capabilities, created_at, expires_at,
    disabled_at, revoked_at, metadata, audiences, networks, tier, window_id
)
select 'key_' || lpad(n::text, 16, '0'),
    case when n > $2::int then 'acct_' || lpad((1 + n % 500)::text, 16, '0') else $1::text end,
    sha256(n::text::bytea), 'tsk-...' || substr(md5(n::text), 1, 4), 'service ' || md5(n::text), '',
    array['orders:read'] || case when n % 3 = 0 then array['orders:write'] else '{}' end
        || case when n % 50 = 0 then array['orders:admin'] else '{}' end
        || case when n % 7 < 4 then array['stock:read', 'stock:write'] else '{}' end
        || case when n % 5 = 0 then array['mail:read', 'users:read', 'jobs:write'] else '{}' end,
    clock_timestamp() - n * interval '5 minutes',
    case when n % 13 < 4 then clock_timestamp() + (n % 300 - 30) * interval '1 day' end,
    case when n % 20 = 0 then clock_timestamp() end,
    case when n % 7 = 0 then clock_timestamp() end,
    jsonb_build_object('team', 't' || n % 100),
    case when n % 4 = 0 then array['https://api-' || 1 + n % 20 || '.example'] else '{}' end,
    case when n % 9 = 0 then array['10.0.0.0/8'::cidr] else '{}' end,
    case when n % 10 = 0 then 'tier-' || 1 + n % 8 end,
    'key_' || lpad(n::text, 16, '0')
from generate_series($3::int, $4::int) n
"""
_WINDOWS: Final = (
    "insert into api_key_window (key_id) select id from api_key on conflict do nothing"
)
_USES: Final = """
insert into api_key_last_use (key_id, at, network, audience)
select id, clock_timestamp() - (number % 100000) * interval '5 minutes', '192.0.2.0/24',
    case when number % 3 = 0 then 'https://api-' || 1 + number % 20 || '.example' else 'api' end
from (select id, row_number() over (order by digest) as number from api_key) as key
where number % 5 < 4
on conflict do nothing
"""
# So many keys are used every hour of the year, and all others now and then.
_BUSY: Final = """
insert into api_key_usage (key_id, hour, outcome, count)
select 'key_' || lpad(n::text, 16, '0'), date_trunc('hour', clock_timestamp()) - h * interval '1 h',
    'issued', 1 + (n * h) % 50
from generate_series($1::int, $2::int) n cross join generate_series(0, 24 * $3::int) h
"""
_SELDOM: Final = """
insert into api_key_usage (key_id, hour, outcome, count)
select 'key_' || lpad(n::text, 16, '0'),
    date_trunc('hour', clock_timestamp()) - (n * 7919 + k * 677) % (24 * $3::int) * interval '1 h',
    case when k % 5 = 0 then 'rate_limited' else 'issued' end, 1 + n % 9
from generate_series($1::int, $2::int) n cross join generate_series(1, 10) k
on conflict do nothing
"""
_SUMS: Final = """
insert into exchange_count (hour, outcome, count)
select hour, outcome, sum(count) from api_key_usage group by hour, outcome
on conflict do nothing
"""
_TRAIL: Final = """
select append_audit_events(
    array_agg(jsonb_build_object('name', 'key_' || lpad((1 + n % 997)::text, 16, '0'))),
    array_agg((array['keys.update', 'keys.disable', 'keys.enable'])[1 + n % 3]),
    array_agg('key_' || lpad((1 + n % 5003)::text, 16, '0')),
    array_agg(jsonb_build_object('reason', 'a test of ' || n))
) from generate_series($1::int, $2::int) n
"""
# Nobody is sent what happened before, nor what happens now.
_NO_NOTICES: Final = "update notice_cursor set audit_number = (select number from audit_head)"
_NOTICES: Final = """
with endpoints as (
    insert into notice_endpoint (
        id, account_id, url, events, description, sealed_secret, created_at, confirmed_at,
        disabled_at, disabled_because
    )
    select 'hook_' || lpad(n::text, 16, '0'),
        case when n > 3 then 'acct_' || lpad(n::text, 16, '0') when n = 3 then $1::text end,
        'https://hooks-' || n || '.example/tokens', '{}', '', '', clock_timestamp(),
        clock_timestamp(), clock_timestamp(), 'asked'
    from generate_series(1, 40) n
),
events as (
    insert into notice_event (id, at, name, account_id, subject, subject_number, detail)
    select 'ntc_' || md5(n::text), clock_timestamp() - n * interval '10 seconds',
        (array['key.created', 'key.revoked', 'key.expiring'])[1 + n % 3],
        case when n % 2 = 0 then $1 else 'acct_' || lpad((4 + n % 37)::text, 16, '0') end,
        'key_' || lpad((1 + n % 5003)::text, 16, '0'), n, '{}'
    from generate_series(1, 200000) n
    returning number, account_id
)
insert into notice_delivery (
    event_number, endpoint_id, created_at, next_at, attempts, tried_at, status, delivered_at
)
select number,
    case
        when account_id = $1 then 'hook_' || lpad((1 + number % 3)::text, 16, '0')
        else 'hook_' || substr(account_id, 6)
    end,
    clock_timestamp() - number * interval '10 seconds', null, 1, clock_timestamp(),
    case when number % 50 = 0 then 500 else 200 end,
    case when number % 50 > 0 then clock_timestamp() end
from events
"""
_FOLLOWERS: Final = """
insert into follower (key_id, name, seq, tag, seen_at)
select '', 'orders-' || n, head.seq, head.tag, clock_timestamp()
from generate_series(1, 50) n, (select seq, tag from feed_head where topic = 'denylist') as head
on conflict (key_id, name) do update set seen_at = excluded.seen_at
"""


async def fill(url: str, account: str, keys: int) -> None:
    """Fill a new database: nine tenths of `keys` belong to `account`."""
    connection = await connect(url)
    await connection.execute("set statement_timeout = 0; set lock_timeout = 0")
    await connection.execute(_NAMES)
    await connection.execute(_ACCOUNTS)
    await _in_steps(connection, _KEYS, keys, account, keys * 9 // 10)
    await connection.execute(_WINDOWS, timeout=_TIMEOUT)
    await connection.execute(_USES, timeout=_TIMEOUT)
    await _in_steps(connection, _BUSY, keys // 200, step=50, after=(DAYS,))
    await _in_steps(connection, _SELDOM, keys, after=(DAYS,))
    await connection.execute(_SUMS, timeout=_TIMEOUT)
    await _in_steps(connection, _TRAIL, keys, step=1000)
    await connection.execute(_NO_NOTICES)
    await connection.execute(_NOTICES, account, timeout=_TIMEOUT)
    await connection.execute(_FOLLOWERS)
    await connection.close()
    await fill_denylist(url, _ENTRIES)
    await settle(url)


async def settle(url: str) -> None:
    """Let Postgres know what it has, as it does by itself after a while."""
    connection = await connect(url)
    await connection.execute("set statement_timeout = 0")
    await connection.execute("vacuum analyze", timeout=_TIMEOUT)
    await connection.execute("checkpoint", timeout=_TIMEOUT)
    await connection.close()


async def _in_steps(
    connection: asyncpg.Connection,
    statement: str,
    count: int,
    *before: object,
    step: int = 20_000,
    after: tuple[object, ...] = (),
) -> None:
    for first in range(1, count + 1, step):
        last = min(count, first + step - 1)
        await connection.execute(statement, *before, first, last, *after, timeout=_TIMEOUT)
