-- What is read to find out whether somebody must be told something. All of it reads only.

-- name: list_limits(key_ids)
-- How many tokens of today keys and their accounts have got, and may get.
with used as (
    select key.id, key.account_id, key.name, key.hint, key.window_id,
        coalesce(key.per_day, tier.key_per_day) as day_limit
    from api_key as key
        join account on account.id = key.account_id
        join tier on tier.name = coalesce(key.tier, account.tier)
    where key.id = any ($1::text[])
)
select used.id, used.account_id, used.name, used.hint, counted.day_count, used.day_limit,
    counted.day
from used join api_key_window as counted on counted.key_id = used.window_id
where counted.day >= date_trunc('day', clock_timestamp(), 'UTC')
union all
select listed.id, listed.id, listed.name, null, counted.day_count, listed.day_limit, counted.day
from listed_account as listed join account_window as counted on counted.account_id = listed.id
where listed.id in (select account_id from used)
    and counted.day >= date_trunc('day', clock_timestamp(), 'UTC');

-- name: list_busy(key_ids, least)
-- Keys that got more than `least` tokens in this hour, with the most that they got in one of the
-- hours of the seven days before.
select key.id, key.account_id, key.name, key.hint, busy.hour, busy.count,
    clock_timestamp() - key.created_at as age,
    coalesce(
        (
            select max(earlier.count) from api_key_usage as earlier
            where earlier.key_id = busy.key_id and earlier.outcome = 'issued'
                and earlier.hour < busy.hour and earlier.hour >= busy.hour - interval '7 days'
        ),
        0
    ) as earlier_most
from api_key_usage as busy join api_key as key on key.id = busy.key_id
where busy.key_id = any ($1::text[]) and busy.outcome = 'issued' and busy.count > $2
    and busy.hour = date_trunc('hour', clock_timestamp(), 'UTC');

-- name: list_in_grace(key_ids)
-- Keys that have a successor and have not ended yet.
select key.id, key.account_id, key.name, key.hint, key.expires_at, successor.id as successor_id,
    date_trunc('day', clock_timestamp(), 'UTC') as day
from api_key as key join api_key as successor on successor.predecessor_id = key.id
where key.id = any ($1::text[]) and key.expires_at > clock_timestamp()
    and key.revoked_at is null and key.deleted_at is null;

-- name: list_expiring(within, after_moment, after_id, most)
-- Active keys without a successor that end soon, from a place on.
select key.id, key.account_id, key.name, key.hint, key.created_at, key.expires_at,
    clock_timestamp() as at
from api_key as key join account on account.id = key.account_id
where key.expires_at > clock_timestamp() and key.expires_at <= clock_timestamp() + $1::interval
    and (key.expires_at, key.id) > ($2::timestamptz, $3::text)
    and key.revoked_at is null and key.deleted_at is null and key.disabled_at is null
    and account.deleted_at is null
    and not exists (select from api_key as successor where successor.predecessor_id = key.id)
order by key.expires_at, key.id limit $4;

-- name: list_idle(before, most)
-- Active keys that were last used, made and enabled before that moment, and of which nobody was
-- told within the time for which events are kept.
select key.id, key.account_id, key.name, key.hint, last.at as last_used_at
from api_key as key
    join account on account.id = key.account_id
    left join api_key_last_use as last on last.key_id = key.id
where key.created_at < $1::timestamptz
    and (key.enabled_at is null or key.enabled_at < $1)
    and (last.at is null or last.at < $1)
    and key.disabled_at is null and key.revoked_at is null and key.deleted_at is null
    and (key.expires_at is null or key.expires_at > clock_timestamp())
    and account.deleted_at is null
    and not exists (select from notice_event as told where told.once = 'key.idle ' || key.id)
order by key.id limit $2;

-- name: list_accounts_of(key_ids)
select id, account_id from api_key where id = any ($1::text[]);

-- name: load_clock()
select clock_timestamp();
