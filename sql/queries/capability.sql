-- Capabilities: the names that may stand in a scope.

-- name: insert(name, description)
insert into capability (name, description, created_at) values ($1, $2, clock_timestamp())
returning name, description, created_at;

-- name: insert_missing(name)
insert into capability (name, description, created_at) values ($1, '', clock_timestamp())
on conflict (name) do nothing returning name;

-- name: list()
select name, description, created_at from capability order by name;

-- name: find(name)
select name, description, created_at from capability where name = $1;

-- name: find_known(names)
-- The rows are locked, so that a capability cannot be removed while a key that uses it is made.
select name from capability where name = any ($1::text[]) order by name for key share;

-- name: delete(name)
delete from capability where name = $1 returning name;

-- name: lock(name)
select name, description, created_at from capability where name = $1 for no key update;

-- name: update(name, description)
update capability set description = $2 where name = $1 returning name, description, created_at;

-- name: count_holders(account_id)
-- How many keys hold each capability: of an account, or of all. Revoked keys are not counted. Keys
-- that hold the same are counted first, because most keys hold what many others do.
select held.name, sum(alike.keys)::bigint as keys
from (
    select key.capabilities, count(*) as keys
    from api_key as key
    where key.deleted_at is null and key.revoked_at is null
        and ($1::text is null or key.account_id = $1)
        and key.account_id not in (select id from account where account.deleted_at is not null)
    group by key.capabilities
) as alike cross join unnest(alike.capabilities) as held (name)
group by held.name;
