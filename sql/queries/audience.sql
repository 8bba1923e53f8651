-- Audiences: the services that tokens are for.

-- name: insert(name, description, token_life, alg, typ, is_own)
insert into audience (name, description, token_life, alg, typ, created_at, is_own)
values ($1, $2, $3, $4, $5, clock_timestamp(), $6);

-- name: find_is_own(name)
select is_own from audience where name = $1;

-- name: list()
select * from listed_audience_2 order by name;

-- name: find(name)
select * from listed_audience_2 where name = $1;

-- name: lock(name)
select name from audience where name = $1 for no key update;

-- name: update(name, description, token_life, alg, typ)
update audience set description = $2, token_life = $3, alg = $4, typ = $5 where name = $1;

-- name: delete(name)
delete from audience where name = $1 returning name;

-- name: list_algorithms()
select distinct alg from audience order by alg;

-- name: list_use(account_id)
-- How many keys name each audience, how many got their last token for it, and when the last of them
-- did: of the keys of an account, or of all. Revoked keys name nothing any more.
select name, sum(keys)::bigint as keys, sum(users)::bigint as users, max(at) as last_used_at
from (
    select named.name, 1 as keys, 0 as users, null::timestamptz as at
    from api_key as key cross join unnest(key.audiences) as named (name)
    where key.audiences <> '{}' and key.deleted_at is null and key.revoked_at is null
        and ($1::text is null or key.account_id = $1)
        and key.account_id not in (select id from account where account.deleted_at is not null)
    union all
    select used.audience, 0, count(*), max(used.at)
    from api_key_last_use as used
    where $1::text is null or used.key_id in (select id from api_key where account_id = $1)
    group by used.audience
) as uses
group by name;
