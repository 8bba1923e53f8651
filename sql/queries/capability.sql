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
