-- What followers have applied. A follower that shows a token is known by the key id and the name
-- that it gives itself; one that shows none has an empty key id.

-- name: relax()
-- A receipt may be lost in a crash: the follower says the same when it asks again.
set local synchronous_commit = off;

-- name: put(key_ids, names, seqs, tags, seconds_ago)
-- The rows are sorted by key id and name, so that two writers cannot deadlock. A row stays as it is
-- if another process heard of the follower later, but not if the clock was ahead when that was
-- written.
insert into follower (key_id, name, seq, tag, seen_at)
select receipt.key_id, receipt.name, receipt.seq, receipt.tag,
    clock_timestamp() - receipt.seconds_ago * interval '1 second'
from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::float8[])
    as receipt (key_id, name, seq, tag, seconds_ago)
on conflict (key_id, name) do update
set seq = excluded.seq, tag = excluded.tag, seen_at = excluded.seen_at
where follower.seen_at <= excluded.seen_at or follower.seen_at > clock_timestamp();

-- name: delete(key_ids, names)
-- Followers that said goodbye.
delete from follower where (key_id, name) in (
    select gone.key_id, gone.name from unnest($1::text[], $2::text[]) as gone (key_id, name)
);

-- name: list(most_unproved)
-- Those that prove their names come first; of the others only the latest are listed.
-- `behind_since` is when the first revocation was made that the follower has not applied.
select listed.key_id, listed.name, listed.seq, listed.tag, listed.seen_at,
    feed_head.seq as head_seq, clock_timestamp() as at,
    (
        select denylist.created_at from denylist
        where denylist.seq > listed.seq order by denylist.seq limit 1
    ) as behind_since
from (
    (select key_id, name, seq, tag, seen_at from follower where key_id <> '')
    union all
    (
        select key_id, name, seq, tag, seen_at from follower
        where key_id = '' order by seen_at desc limit $1
    )
) as listed, feed_head
where feed_head.topic = 'denylist' order by listed.key_id = '', listed.key_id, listed.name;

-- name: count_unproved()
select count(*) from follower where key_id = '';

-- name: delete_silent(before)
delete from follower where seen_at < $1 returning name;

-- name: delete_beyond(most_unproved)
-- Strangers choose names: of those that prove nothing, only the latest are kept.
delete from follower where key_id = '' and name in (
    select name from follower where key_id = '' order by seen_at desc offset $1
) returning name;
