-- Audiences: the services that tokens are for.

-- name: insert(name, description, token_life, alg, is_own)
insert into audience (name, description, token_life, alg, created_at, is_own)
values ($1, $2, $3, $4, clock_timestamp(), $5);

-- name: find_is_own(name)
select is_own from audience where name = $1;

-- name: list()
select * from listed_audience order by name;

-- name: find(name)
select * from listed_audience where name = $1;

-- name: lock(name)
select name from audience where name = $1 for no key update;

-- name: update(name, description, token_life, alg)
update audience set description = $2, token_life = $3, alg = $4 where name = $1;

-- name: delete(name)
delete from audience where name = $1 returning name;

-- name: list_algorithms()
select distinct alg from audience order by alg;
