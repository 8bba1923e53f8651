-- The heads of what every process keeps a copy of.

-- name: list()
-- Without a row, or with a row that is not `whole`, the database is empty or is being restored.
select topic, seq, tag, clock_timestamp() as at, database_is_whole() as whole from feed_head;

-- name: list_with_iat()
-- The same, with what is known of the latest `iat`: null while nothing is known.
select topic, seq, tag, clock_timestamp() as at, database_is_whole() as whole,
    (select nullif(iat_limit, '-infinity') from issuance) as iat_limit,
    nullif(iat_floor.at, '-infinity') as iat_floor, iat_floor.run
from feed_head left join iat_floor on true;

-- name: bump(topic, tag)
update feed_head set seq = seq + 1, tag = $2 where topic = $1;

-- name: wake()
-- It is sent at commit. It only wakes the listeners; what has changed stands in the tables.
select pg_notify('tokensvc', '');
