-- Events of which somebody is told.

-- name: append(names, moments, accounts, subjects, details, onces, endpoints)
select place, number from append_notices($1, $2, $3, $4, $5, $6, $7);

-- name: lock_cursor()
-- One process at a time searches the audit trail; the others find nothing to do.
select audit_number from notice_cursor for update skip locked;

-- name: move_cursor(number)
update notice_cursor set audit_number = $1;

-- name: claim_check(pause)
-- One process does it each time. If it never says that it has, it is due again twenty seconds
-- later, which is before the next tick.
update notice_cursor set checked_at = clock_timestamp() - $1::interval + interval '20 seconds'
where checked_at < clock_timestamp() - $1::interval or checked_at > clock_timestamp()
returning checked_at;

-- name: complete_check()
update notice_cursor set checked_at = clock_timestamp();

-- name: list_acts(after, most)
select number, at, actor, account_id, operation, subject, detail
from audit_event where number > $1 order by number limit $2;

-- name: describe(ids)
-- Whose things are, and what they are called.
select id, account_id, name, hint from api_key where id = any ($1::text[])
union all select id, id, name, null from account where id = any ($1::text[])
union all select id, account_id, null, null from notice_endpoint where id = any ($1::text[]);

-- name: delete_before(moment, most)
-- With their deliveries. A row that another process is deleting is skipped, not waited for.
delete from notice_event where number = any (array(
    select number from notice_event where at < $1 order by at limit $2 for update skip locked
)) returning 1;
