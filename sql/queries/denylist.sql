-- The denylist. Revocations append rows, the cleaner deletes expired ones, and no row is changed.

-- name: append(tag, kind, value, watermark, expires_at, ending, healed)
-- The counter is raised in the same statement. Its row stays locked until the transaction commits,
-- so the numbers have no gaps in the order of commits.
with head as (
    update feed_head set seq = seq + 1, tag = $1 where topic = 'denylist' returning seq
)
insert into denylist (seq, tag, kind, value, watermark, created_at, expires_at, ending, healed)
select head.seq, $1, $2, $3, $4, clock_timestamp(), $5, $6, $7 from head
returning seq, tag;

-- name: list_after(seq, now, most)
select * from listed_revocation where seq > $1 and expires_at > $2 order by seq limit $3;

-- name: list_rows_after(seq, now, most)
-- The same with moments as seconds since 1970: a double holds them with their microseconds, and a
-- million of them are read quickly. The kind is left out because the ending tells it.
select
    seq, tag, value,
    date_part('epoch', expires_at), date_part('epoch', watermark), date_part('epoch', created_at),
    ending, healed
from denylist
where seq > $1 and expires_at > $2 order by seq limit $3;

-- name: list_of(values)
select * from listed_revocation where value = any ($1) order by seq;

-- name: list_named(kinds, values)
-- The revocations of any of these things: the i-th is of kinds[i] and has values[i].
select * from listed_revocation
where value = any ($2::text[]) and (kind, value) in (
    select thing.kind, thing.value from unnest($1::text[], $2::text[]) as thing (kind, value)
)
order by seq;

-- name: find_tag(seq)
select tag from denylist where seq = $1;

-- name: is_revoked(kind, value)
select exists (select from denylist where kind = $1 and value = $2) as revoked;

-- name: delete_expired(now, most)
delete from denylist
where seq in (select seq from denylist where expires_at <= $1 order by expires_at limit $2)
returning seq;
