-- API keys: digest and facts, never the key.

-- name: insert(id, account_id, digest, hint, name, description, capabilities, life, predecessor_id, tier, per_minute, per_day)
with moment as materialized (
    select clock_timestamp() as at
), made as (
    insert into api_key
        (id, account_id, digest, hint, name, description, capabilities, created_at, expires_at, predecessor_id, tier, per_minute, per_day)
    select $1, $2, $3, $4, $5, $6, $7, moment.at, moment.at + $8::interval, $9, $10, $11, $12 from moment returning id
)
insert into api_key_window (key_id) select id from made;

-- name: find(id)
select k.id, k.account_id, k.hint, k.name, k.description, k.capabilities, k.created_at, k.expires_at, k.disabled_at, k.revoked_at,
    k.predecessor_id, s.id as successor_id, l.at as last_used_at, l.network as last_used_network, l.audience as last_used_audience,
    k.tier, k.per_minute, k.per_day, coalesce(k.per_minute, t.key_per_minute) as minute_limit, coalesce(k.per_day, t.key_per_day) as day_limit,
    clock_timestamp() as at
from api_key k join account a on a.id = k.account_id join tier t on t.name = coalesce(k.tier, a.tier)
    left join api_key s on s.predecessor_id = k.id left join api_key_last_use l on l.key_id = k.id
where k.id = $1 and k.deleted_at is null and a.deleted_at is null;

-- name: list(account_id)
select k.id, k.account_id, k.hint, k.name, k.description, k.capabilities, k.created_at, k.expires_at, k.disabled_at, k.revoked_at,
    k.predecessor_id, s.id as successor_id, l.at as last_used_at, l.network as last_used_network, l.audience as last_used_audience,
    k.tier, k.per_minute, k.per_day, coalesce(k.per_minute, t.key_per_minute) as minute_limit, coalesce(k.per_day, t.key_per_day) as day_limit,
    clock_timestamp() as at
from api_key k join account a on a.id = k.account_id join tier t on t.name = coalesce(k.tier, a.tier)
    left join api_key s on s.predecessor_id = k.id left join api_key_last_use l on l.key_id = k.id
where ($1::text is null or k.account_id = $1) and k.deleted_at is null and a.deleted_at is null
order by k.created_at, k.id;

-- name: lock(id)
-- The row that an exchange holds: whoever changes the state of a key waits for exchanges in flight, and they for the change.
select key_id from api_key_window where key_id = $1 for no key update;

-- name: find_id_by_digest(digest)
select k.id from api_key k join account a on a.id = k.account_id
where k.digest = $1 and k.deleted_at is null and a.deleted_at is null;

-- name: update(id, name, description, capabilities, tier, per_minute, per_day)
update api_key set name = $2, description = $3, capabilities = $4, tier = $5, per_minute = $6, per_day = $7 where id = $1;

-- name: set_expiry(id, life)
update api_key set expires_at = clock_timestamp() + $2::interval where id = $1;

-- name: limit_life(id, life)
-- The old key of a rotation ends after its grace, unless it ends sooner by itself.
update api_key set expires_at = least(expires_at, clock_timestamp() + $2::interval) where id = $1;

-- name: disable(id)
with moment as materialized (select clock_timestamp() as at)
update api_key set disabled_at = coalesce(disabled_at, moment.at), watermark = greatest(watermark, moment.at)
from moment where id = $1 returning watermark;

-- name: enable(id)
update api_key set disabled_at = null where id = $1;

-- name: revoke(id)
with moment as materialized (select clock_timestamp() as at)
update api_key set revoked_at = coalesce(revoked_at, moment.at), watermark = greatest(watermark, moment.at)
from moment where id = $1 returning watermark;

-- name: delete(id)
with moment as materialized (select clock_timestamp() as at)
update api_key set deleted_at = moment.at, revoked_at = coalesce(revoked_at, moment.at), watermark = greatest(watermark, moment.at)
from moment where id = $1 returning watermark;

-- name: revoke_tokens(id)
with moment as materialized (select clock_timestamp() as at)
update api_key set watermark = greatest(watermark, moment.at)
from moment where id = $1 returning watermark;

-- name: raise_watermark(id, watermark)
update api_key set watermark = greatest(watermark, $2) where id = $1 returning id;

-- name: count_with_capability(capability)
select count(*) from api_key k join account a on a.id = k.account_id
where $1 = any (k.capabilities) and k.deleted_at is null and k.revoked_at is null and a.deleted_at is null;
