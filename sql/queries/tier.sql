-- Tiers: named sets of limits.

-- name: insert(name, description, key_per_minute, key_per_day, account_per_minute, account_per_day)
insert into tier (
    name, description, key_per_minute, key_per_day, account_per_minute, account_per_day, created_at
)
values ($1, $2, $3, $4, $5, $6, clock_timestamp());

-- name: list()
select * from listed_tier order by name;

-- name: find(name)
select * from listed_tier where name = $1;

-- name: lock(name)
select * from listed_tier where name = $1 for no key update;

-- name: update(name, description, key_per_minute, key_per_day, account_per_minute, account_per_day)
update tier
set description = $2, key_per_minute = $3, key_per_day = $4, account_per_minute = $5,
    account_per_day = $6
where name = $1;

-- name: delete(name)
delete from tier where name = $1 returning name;

-- name: list_use()
-- How many accounts and how many keys have each tier.
select name, sum(accounts)::bigint as accounts, sum(keys)::bigint as keys
from (
    select account.tier as name, 1 as accounts, 0 as keys
    from account where account.deleted_at is null
    union all
    select key.tier, 0, 1
    from api_key as key
    where key.tier is not null and key.deleted_at is null and key.revoked_at is null
        and key.account_id not in (select id from account where account.deleted_at is not null)
) as owners
group by name;
