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
