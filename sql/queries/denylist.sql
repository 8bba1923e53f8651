-- The denylist. Nothing is ever changed in it: appended by revocations, collected by the cleaner.

-- name: append(tag, kind, value, watermark, expires_at, ending, healed)
-- The counter is bumped in the same statement: its row is held until commit, so numbers are gapless in commit order.
with head as (
    update feed_head set seq = seq + 1, tag = $1 where topic = 'denylist' returning seq
)
insert into denylist (seq, tag, kind, value, watermark, created_at, expires_at, ending, healed)
select head.seq, $1, $2, $3, $4, clock_timestamp(), $5, $6, $7 from head
returning seq, tag;

-- name: list_after(seq, now, most)
select seq, tag, kind, value, watermark, created_at, expires_at, ending, healed from denylist
where seq > $1 and expires_at > $2 order by seq limit $3;

-- name: list_rows_after(seq, now, most)
-- The same as seconds since 1970. A double holds them with their microseconds, and a million of them are read quickly.
-- The ending says of which kind an entry is.
select
    seq, tag, value, date_part('epoch', expires_at), date_part('epoch', watermark), date_part('epoch', created_at), ending, healed
from denylist
where seq > $1 and expires_at > $2 order by seq limit $3;

-- name: list_of(values)
select seq, tag, kind, value, watermark, created_at, expires_at, ending, healed from denylist where value = any ($1) order by seq;

-- name: find_tag(seq)
select tag from denylist where seq = $1;

-- name: list_named(kinds, values)
-- The entries for any of these things: of kinds[i] and values[i].
select seq, tag, kind, value, watermark, created_at, expires_at, ending, healed from denylist
where value = any ($2::text[]) and (kind, value) in (select x.kind, x.value from unnest($1::text[], $2::text[]) x (kind, value))
order by seq;

-- name: is_revoked(kind, value)
select exists (select from denylist where kind = $1 and value = $2) as revoked;

-- name: delete_expired(now, most)
delete from denylist where seq in (select seq from denylist where expires_at <= $1 order by expires_at limit $2) returning seq;
