-- How keys are used: sums per key, hour and outcome, and the last use of each key. The rows of both
-- are written in the order of the keys, so that two writers cannot deadlock.

-- name: relax()
-- What is written in this transaction may be lost in a crash. The commit waits for no disk and no
-- standby.
set local synchronous_commit = off;

-- name: add(key_ids, hours, outcomes, counts)
insert into api_key_usage (key_id, hour, outcome, count)
select used.key_id, used.hour, used.outcome, used.count
from unnest($1::text[], $2::timestamptz[], $3::text[], $4::bigint[])
    as used (key_id, hour, outcome, count)
on conflict (key_id, hour, outcome) do update set count = api_key_usage.count + excluded.count;

-- name: add_to_accounts(key_ids, hours, outcomes, counts)
insert into account_usage (account_id, hour, outcome, count)
select key.account_id, used.hour, used.outcome, sum(used.count)
from unnest($1::text[], $2::timestamptz[], $3::text[], $4::bigint[])
        as used (key_id, hour, outcome, count)
    join api_key as key on key.id = used.key_id
group by key.account_id, used.hour, used.outcome
order by key.account_id, used.hour, used.outcome
on conflict (account_id, hour, outcome) do update
set count = account_usage.count + excluded.count;

-- name: add_to_all(hours, outcomes, counts)
insert into exchange_count (hour, outcome, count)
select used.hour, used.outcome, sum(used.count)
from unnest($1::timestamptz[], $2::text[], $3::bigint[]) as used (hour, outcome, count)
group by used.hour, used.outcome
order by used.hour, used.outcome
on conflict (hour, outcome) do update set count = exchange_count.count + excluded.count;

-- name: list_all(since)
select hour, outcome, count from exchange_count where hour > $1 order by hour, outcome;

-- name: list_of_account(account_id, since)
select hour, outcome, count from account_usage
where account_id = $1 and hour > $2 order by hour, outcome;

-- name: list_of_many(key_ids, since)
select key_id, hour, outcome, count from api_key_usage
where key_id = any ($1::text[]) and hour > $2 order by key_id, hour, outcome;

-- name: delete_all_before(moment)
delete from exchange_count where hour < $1;

-- name: delete_of_accounts_before(moment, most)
-- A row that another process is deleting is skipped, not waited for.
delete from account_usage where ctid = any (array(
    select ctid from account_usage where hour < $1 order by hour limit $2 for update skip locked
)) returning 1;

-- name: set_last(key_ids, moments, networks, audiences)
insert into api_key_last_use (key_id, at, network, audience)
select used.key_id, used.at, used.network, used.audience
from unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[])
    as used (key_id, at, network, audience)
on conflict (key_id) do update
set at = excluded.at, network = excluded.network, audience = excluded.audience
where api_key_last_use.at <= excluded.at;

-- name: forget_networks(moment, most)
-- A row that is in use is skipped, not waited for.
update api_key_last_use set network = 'unknown' where key_id in (
    select key_id from api_key_last_use
    where at < $1 and network <> 'unknown' order by key_id limit $2 for update skip locked
) returning key_id;

-- name: list(key_id, since)
select hour, outcome, count from api_key_usage
where key_id = $1 and hour > $2 order by hour, outcome;

-- name: delete_before(moment, most)
-- A row that another process is deleting is skipped, not waited for.
delete from api_key_usage where ctid = any (array(
    select ctid from api_key_usage where hour < $1 order by hour limit $2 for update skip locked
)) returning 1;
