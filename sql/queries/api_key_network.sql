-- The networks that keys were used from.

-- name: put(key_ids, networks)
-- Returns those that are new, with the number of networks of the key before. In the order of the
-- keys and networks, so that two writers cannot deadlock. A row that is still fresh is not written.
with used as (
    select key.id, used.network, key.account_id, key.name, key.hint
    from unnest($1::text[], $2::text[]) as used (key_id, network)
        join api_key as key on key.id = used.key_id
),
known as (
    select key_id, count(*) as networks from api_key_network
    where key_id = any ($1) group by key_id
),
written as (
    insert into api_key_network as present (key_id, network, first_at, last_at)
    select used.id, used.network, clock.present, clock.present
    from used, (select clock_timestamp() as present) as clock
    order by used.id, used.network
    on conflict (key_id, network) do update set last_at = excluded.last_at
    where present.last_at < excluded.last_at - interval '1 hour'
    returning present.key_id, present.network, present.xmax = 0 as is_new
)
select used.id, used.account_id, used.name, used.hint, used.network,
    coalesce(known.networks, 0) as known
from written
    join used on used.id = written.key_id and used.network = written.network
    left join known on known.key_id = written.key_id
where written.is_new;

-- name: trim(key_ids, most)
delete from api_key_network as old using (
    select key_id, network, row_number() over (partition by key_id order by last_at desc) as place
    from api_key_network where key_id = any ($1::text[])
) as ranked
where ranked.place > $2 and old.key_id = ranked.key_id and old.network = ranked.network;

-- name: delete_before(moment, most)
delete from api_key_network where ctid = any (array(
    select ctid from api_key_network where last_at < $1 order by last_at limit $2
    for update skip locked
)) returning 1;
