-- API keys: their digests and facts, never a key.

-- name: insert(id, account_id, digest, hint, name, description, capabilities, life,
--     predecessor_id, tier, per_minute, per_day, audiences, networks, metadata, claims,
--     self_rotation, made_by_predecessor, expires_at)
-- A successor is counted together with its predecessor: rotating a key gives no fresh limit.
with made as (
    insert into api_key (
        id, account_id, digest, hint, name, description, capabilities, created_at, expires_at,
        predecessor_id, tier, per_minute, per_day, audiences, networks, metadata, claims,
        self_rotation, made_by_predecessor, window_id
    )
    select $1, $2, $3, $4, $5, $6, $7, moment.at,
        coalesce($19::timestamptz, moment.at + $8::interval), $9, $10, $11, $12,
        $13, $14::text[]::cidr[], $15, $16, $17, $18, coalesce(predecessor.window_id, $1)
    from clock_timestamp() as moment (at)
        left join api_key as predecessor on predecessor.id = $9
    returning id, window_id
)
insert into api_key_window (key_id) select id from made where window_id = id;

-- name: find(id)
select *, clock_timestamp() as at from listed_api_key where id = $1;

-- name: lock(id)
-- This is the row that an exchange holds, also one with another key of the same chain. A change
-- to the state of a key waits for the exchanges that are under way, and later ones wait for the
-- change.
select key_id from api_key_window
where key_id = (select window_id from api_key where id = $1) for no key update;

-- name: lock_many(ids)
-- As above, in the order in which everybody locks several of them.
select key_id from api_key_window
where key_id = any (array(select window_id from api_key where id = any ($1::text[])))
order by key_id for no key update;

-- name: find_many(ids)
select *, clock_timestamp() as at from listed_api_key where id = any ($1::text[]);

-- name: find_held(id)
-- The capabilities that a key holds now; empty if it is not there.
select clock_timestamp() as at,
    coalesce((select capabilities from api_key where id = $1), '{}') as capabilities;

-- name: find_standing(id)
-- A key, and whether its account is suspended: what callers are judged by, while locks are held.
select *, clock_timestamp() as at from listed_api_key
    cross join lateral (
        select suspended_at is not null as is_suspended from account where account.id = account_id
    ) as owner
where id = $1;

-- name: count(account_id, at)
-- What an overview says of all keys, or of those of an account. `replaced`: a successor took over,
-- and the old key was not used for a day. The rows of all keys are read, once; what few keys have
-- is looked for by an index, which is why `usable` is not made first.
with usable as not materialized (
    select key.id, key.created_at, key.capabilities
    from api_key as key
    where key.deleted_at is null and key.revoked_at is null and key.disabled_at is null
        and (key.expires_at is null or key.expires_at > $2::timestamptz)
        and ($1::text is null or key.account_id = $1)
)
select count(*) as total,
    count(*) filter (where state = 'active') as active,
    count(*) filter (where state = 'disabled') as disabled,
    count(*) filter (where state = 'revoked') as revoked,
    count(*) filter (where state = 'expired') as expired,
    count(*) filter (
        where state = 'active' and expires_at < $2::timestamptz + interval '30 days'
    ) as expiring,
    count(*) filter (where state = 'active' and expires_at is null) as endless,
    (
        select count(*) from usable
        where usable.created_at < $2::timestamptz - interval '90 days' and not exists (
            select from api_key_last_use as used
            where used.key_id = usable.id and used.at >= $2::timestamptz - interval '90 days'
        )
    ) as idle,
    (select count(*) from usable where capabilities @> array['tokensvc:admin']) as powerful,
    (
        select count(*)
        from usable join api_key as other on other.predecessor_id = usable.id
        where other.predecessor_id is not null and not exists (
            select from api_key_last_use as used
            where used.key_id = usable.id and used.at >= $2::timestamptz - interval '1 day'
        )
    ) as replaced
from (
    select key.expires_at, case
        when key.revoked_at is not null then 'revoked'
        when key.expires_at <= $2::timestamptz then 'expired'
        when key.disabled_at is not null then 'disabled'
        else 'active'
    end as state
    from api_key as key
    where key.deleted_at is null and ($1::text is null or key.account_id = $1)
) as judged;

-- name: list_existing_digests(digests)
-- A cheap question about many keys, most of which are guesses: it reads nothing but the index.
-- `whole` says whether the others are unknown, or may be in a backup that is being restored.
select
    array(
        select digest from api_key where digest = any ($1::bytea[]) and deleted_at is null
    ) as digests,
    database_is_whole()
        and exists (select from feed_head where topic = 'denylist') as whole;

-- name: find_id_by_digest(digest)
select key.id from api_key as key join account on account.id = key.account_id
where key.digest = $1 and key.deleted_at is null and account.deleted_at is null;

-- name: update(id, name, description, capabilities, tier, per_minute, per_day, audiences, networks,
--     metadata, claims, self_rotation)
update api_key
set name = $2, description = $3, capabilities = $4, tier = $5, per_minute = $6, per_day = $7,
    audiences = $8, networks = $9::text[]::cidr[], metadata = $10, claims = $11,
    self_rotation = $12
where id = $1;

-- name: set_expiry(id, life)
update api_key set expires_at = clock_timestamp() + $2::interval where id = $1;

-- name: limit_life(id, life)
-- The old key of a rotation expires after its grace period, unless it expires earlier anyway.
update api_key set expires_at = least(expires_at, clock_timestamp() + $2::interval) where id = $1;

-- name: end(ending, operation, ids, digests, actor, detail, leeway, keep_successors, caller)
select outcome, key_id, shown, at, records, check_caller_stands($9, at, null)
from end_keys($1, $2, $3, $4, $5, $6, $7, $8) order by place;

-- name: enable(ids)
update api_key set disabled_at = null, enabled_at = clock_timestamp() where id = any ($1::text[]);

-- name: lock_account(account_id)
-- Who makes keys of one account does so one after the other. Exchanges do not lock this row.
select from account where id = $1 for no key update;

-- name: count_live(account_id, most)
-- Keys that are neither revoked nor expired, and `most` of them at most.
select count(*) from (
    select from api_key
    where account_id = $1 and deleted_at is null and revoked_at is null
        and (expires_at is null or expires_at > clock_timestamp())
    limit $2
) as live;

-- name: list_idle(before, most)
-- Active keys that were last used, made and enabled before that moment.
select key.id
from api_key as key
    join account on account.id = key.account_id
    left join api_key_last_use on api_key_last_use.key_id = key.id
where key.created_at < $1::timestamptz
    and (key.enabled_at is null or key.enabled_at < $1)
    and (api_key_last_use.at is null or api_key_last_use.at < $1)
    and key.disabled_at is null and key.revoked_at is null and key.deleted_at is null
    and (key.expires_at is null or key.expires_at > clock_timestamp())
    and account.deleted_at is null
order by key.id limit $2;

-- name: lock_windows(ids)
-- An exchange with one of these keys waits until the commit, or has ended before this.
select from api_key_window
where key_id = any (array(select window_id from api_key where id = any ($1::text[])))
order by key_id for no key update;

-- name: list_still_unused(ids, before)
-- Those of the keys that were neither used nor enabled since that moment. `latest_iat` knows of a
-- use before `api_key_last_use` does. But keys that come from each other by rotation have the same,
-- so it tells nothing of one of them.
select key.id
from api_key as key
    left join api_key_last_use as last on last.key_id = key.id
    left join api_key_window as counted on counted.key_id = key.window_id
where key.id = any ($1::text[])
    and (key.enabled_at is null or key.enabled_at < $2::timestamptz)
    and (last.at is null or last.at < $2)
    and (
        (counted.latest_iat >= $2) is not true
        or key.predecessor_id is not null
        or exists (select from api_key as successor where successor.predecessor_id = key.id)
    )
order by key.id;

-- name: list_used_after_end(ids)
-- Those of the keys that were rotated, have expired, and of which the trail has not told today that
-- they are still used. Who asks this waits for all others who do.
select key.id, successor.id as successor_id
from api_key as key join api_key as successor on successor.predecessor_id = key.id
where key.id = any ($1::text[]) and key.deleted_at is null
    and key.expires_at <= clock_timestamp()
    and not exists (
        select from audit_event
        where audit_event.subject = key.id and audit_event.operation = 'key.used_after_end'
            and audit_event.at >= date_trunc('day', clock_timestamp(), 'UTC')
    )
order by key.id;

-- name: lock_used_after_end()
select pg_advisory_xact_lock(7265309615);

-- name: count_with_capability(capability)
select count(*) from api_key as key join account on account.id = key.account_id
where $1 = any (key.capabilities)
    and key.deleted_at is null and key.revoked_at is null and account.deleted_at is null;
