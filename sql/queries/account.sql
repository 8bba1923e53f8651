-- Accounts. Deleted ones stay as rows, for the audit trail, and are shown nowhere.

-- name: insert(id, name)
insert into account (id, name, created_at) values ($1, $2, clock_timestamp())
returning id, name, created_at, suspended_at;

-- name: find(id)
select id, name, created_at, suspended_at from account where id = $1 and deleted_at is null;

-- name: list()
select id, name, created_at, suspended_at from account where deleted_at is null order by created_at, id;

-- name: any()
select exists (select from account) as some;

-- name: lock(id)
-- Taken before the clock is read: an exchange that held the row has its `iat` before our moment, one that comes later sees our change.
select id, name, created_at, suspended_at from account where id = $1 and deleted_at is null for no key update;

-- name: suspend(id)
-- One moment, taken while the row is held: nothing is issued after it, everything before lies under the watermark.
with moment as materialized (select clock_timestamp() as at)
update account set suspended_at = coalesce(suspended_at, moment.at), denied_up_to = greatest(denied_up_to, moment.at)
from moment where id = $1 returning denied_up_to as moment;

-- name: resume(id)
update account set suspended_at = null where id = $1;

-- name: delete(id)
with moment as materialized (select clock_timestamp() as at)
update account set deleted_at = moment.at, denied_up_to = greatest(denied_up_to, moment.at)
from moment where id = $1 returning denied_up_to as moment;
