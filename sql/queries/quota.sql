-- What is left of the limits of a key and of its account.

-- name: find(key_id)
-- The limits of a key and of its account, what is left of each, and when the windows that count
-- began; in the order of the limits.
select clock.at, limits.most, limits.begun,
    array(
        select greatest(0, case when counted = began then most - count else most end)
        from unnest(limits.most, limits.begun, limits.counted, limits.counts)
            with ordinality as one (most, began, counted, count, place)
        order by place
    ) as left_over
from listed_api_key as listed
    join api_key on api_key.id = listed.id
    join listed_account on listed_account.id = listed.account_id
    join api_key_window on api_key_window.key_id = api_key.window_id
    join account_window on account_window.account_id = listed.account_id
    cross join lateral (select clock_timestamp() as at offset 0) as clock
    cross join lateral (
        select
            array[
                listed.minute_limit, listed.day_limit,
                listed_account.minute_limit, listed_account.day_limit
            ] as most,
            array[
                window_start(
                    api_key_window.minute, date_trunc('minute', clock.at, 'UTC'), '1 minute'
                ),
                window_start(api_key_window.day, date_trunc('day', clock.at, 'UTC'), '1 day'),
                window_start(
                    account_window.minute, date_trunc('minute', clock.at, 'UTC'), '1 minute'
                ),
                window_start(account_window.day, date_trunc('day', clock.at, 'UTC'), '1 day')
            ] as begun,
            array[
                api_key_window.minute, api_key_window.day,
                account_window.minute, account_window.day
            ] as counted,
            array[
                api_key_window.minute_count, api_key_window.day_count,
                account_window.minute_count, account_window.day_count
            ] as counts
    ) as limits
where listed.id = $1;

-- name: find_of_account(account_id)
-- The windows of an account that are running, and how much was counted in each. A window that was
-- counted last and is over counts nothing.
select clock.at,
    case when counted.minute = begun.minute then counted.minute_count else 0 end as minute_used,
    case when counted.day = begun.day then counted.day_count else 0 end as day_used,
    listed.minute_limit, listed.day_limit,
    begun.minute + interval '1 minute' as minute_ends_at,
    begun.day + interval '1 day' as day_ends_at
from listed_account as listed
    join account_window as counted on counted.account_id = listed.id
    cross join lateral (select clock_timestamp() as at offset 0) as clock
    cross join lateral (
        select
            window_start(counted.minute, date_trunc('minute', clock.at, 'UTC'), '1 minute')
                as minute,
            window_start(counted.day, date_trunc('day', clock.at, 'UTC'), '1 day') as day
    ) as begun
where listed.id = $1;

-- name: find_of_key(key_id)
-- The same of a key, and of all keys that it took over from: they share their windows.
select clock.at,
    case when counted.minute = begun.minute then counted.minute_count else 0 end as minute_used,
    case when counted.day = begun.day then counted.day_count else 0 end as day_used,
    listed.minute_limit, listed.day_limit,
    begun.minute + interval '1 minute' as minute_ends_at,
    begun.day + interval '1 day' as day_ends_at
from listed_api_key as listed
    join api_key on api_key.id = listed.id
    join api_key_window as counted on counted.key_id = api_key.window_id
    cross join lateral (select clock_timestamp() as at offset 0) as clock
    cross join lateral (
        select
            window_start(counted.minute, date_trunc('minute', clock.at, 'UTC'), '1 minute')
                as minute,
            window_start(counted.day, date_trunc('day', clock.at, 'UTC'), '1 day') as day
    ) as begun
where listed.id = $1;
