-- Accounts. Deleted ones stay as rows, for the audit trail, and are shown nowhere.

-- name: insert(id, name)
with made as (
    insert into account (id, name, created_at) values ($1, $2, clock_timestamp()) returning id
)
insert into account_window (account_id) select id from made;

-- name: find(id)
select a.id, a.name, a.created_at, a.suspended_at, a.tier, a.per_minute, a.per_day,
    coalesce(a.per_minute, t.account_per_minute) as minute_limit, coalesce(a.per_day, t.account_per_day) as day_limit
from account a join tier t on t.name = a.tier where a.id = $1 and a.deleted_at is null;

-- name: list()
select a.id, a.name, a.created_at, a.suspended_at, a.tier, a.per_minute, a.per_day,
    coalesce(a.per_minute, t.account_per_minute) as minute_limit, coalesce(a.per_day, t.account_per_day) as day_limit
from account a join tier t on t.name = a.tier where a.deleted_at is null order by a.created_at, a.id;

-- name: any()
select exists (select from account) as some;

-- name: lock(id)
-- The row that every exchange of its keys holds. Taken before the clock is read: an exchange that held it has its `iat` before our moment, one
-- that comes later sees our change.
select account_id from account_window where account_id = $1 for no key update;

-- name: update(id, name, tier, per_minute, per_day)
update account set name = $2, tier = $3, per_minute = $4, per_day = $5 where id = $1;

-- name: suspend(id)
-- One moment, taken while the row is held: nothing is issued after it, everything before lies under the watermark.
with moment as materialized (select clock_timestamp() as at)
update account set suspended_at = coalesce(suspended_at, moment.at), watermark = greatest(watermark, moment.at)
from moment where id = $1 returning watermark;

-- name: resume(id)
update account set suspended_at = null where id = $1;

-- name: delete(id)
with moment as materialized (select clock_timestamp() as at)
update account set deleted_at = moment.at, watermark = greatest(watermark, moment.at)
from moment where id = $1 returning watermark;

-- name: revoke_tokens(id)
with moment as materialized (select clock_timestamp() as at)
update account set watermark = greatest(watermark, moment.at)
from moment where id = $1 returning watermark;

-- name: raise_watermark(id, watermark)
update account set watermark = greatest(watermark, $2) where id = $1 returning id;
