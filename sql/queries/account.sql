-- Accounts. A deleted one stays as a row, for the audit trail, and is shown nowhere.

-- name: insert(id, name)
with made as (
    insert into account (id, name, created_at) values ($1, $2, clock_timestamp()) returning id
)
insert into account_window (account_id) select id from made;

-- name: find(id)
select * from listed_account_2 where id = $1;

-- name: any()
select exists (select from account) as some;

-- name: lock(id)
-- This is the row that every exchange of the account's keys holds. It is locked before the clock
-- is read: an exchange that held it before has its `iat` before our moment, and one that comes
-- later sees our change.
select account_id from account_window where account_id = $1 for no key update;

-- name: update(id, name, tier, per_minute, per_day)
update account set name = $2, tier = $3, per_minute = $4, per_day = $5 where id = $1;

-- name: end(ending, operation, ids, actor, detail, leeway, caller)
select ended.outcome, ended.shown, ended.records, contact.id as contact_id,
    contact.url as contact_url, contact.confirmed_at as contact_confirmed_at,
    check_caller_stands(
        $7, null,
        case
            when ended.outcome = 'ended' and $1 <> 'account_tokens_revoked'
            then ($3::text[])[ended.place]
        end
    )
from end_accounts($1, $2, $3, $4, $5, $6) as ended
    left join notice_endpoint as contact
        on contact.account_id = (ended.shown).id and contact.is_contact
        and contact.deleted_at is null
order by ended.place;

-- name: resume(id)
update account set suspended_at = null where id = $1;
