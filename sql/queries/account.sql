-- Accounts. A deleted one stays as a row, for the audit trail, and is shown nowhere.

-- name: insert(id, name)
with made as (
    insert into account (id, name, created_at) values ($1, $2, clock_timestamp()) returning id
)
insert into account_window (account_id) select id from made;

-- name: find(id)
select * from listed_account where id = $1;

-- name: list()
select * from listed_account order by created_at, id;

-- name: any()
select exists (select from account) as some;

-- name: lock(id)
-- This is the row that every exchange of the account's keys holds. It is locked before the clock
-- is read: an exchange that held it before has its `iat` before our moment, and one that comes
-- later sees our change.
select account_id from account_window where account_id = $1 for no key update;

-- name: update(id, name, tier, per_minute, per_day)
update account set name = $2, tier = $3, per_minute = $4, per_day = $5 where id = $1;

-- name: suspend(id)
-- This and the next two read the clock once, while the row is locked: the state and the watermark
-- have the same moment, nothing is issued after it, and all that was issued before it is revoked.
update account
set suspended_at = coalesce(suspended_at, moment.at), watermark = greatest(watermark, moment.at)
from clock_timestamp() as moment (at)
where id = $1 returning watermark;

-- name: delete(id)
update account
set deleted_at = moment.at, watermark = greatest(watermark, moment.at)
from clock_timestamp() as moment (at)
where id = $1 returning watermark;

-- name: revoke_tokens(id)
update account set watermark = greatest(watermark, clock_timestamp())
where id = $1 returning watermark;

-- name: resume(id)
update account set suspended_at = null where id = $1;

-- name: raise_watermark(id, watermark)
update account set watermark = greatest(watermark, $2) where id = $1 returning id;
