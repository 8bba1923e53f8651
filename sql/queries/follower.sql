-- What followers have applied.

-- name: relax()
-- A receipt may be lost in a crash: the follower says the same when it asks again.
set local synchronous_commit = off;

-- name: put(names, seqs, tags, authenticated, seconds_ago)
-- The names are sorted, so that two writers cannot deadlock. A row stays as it is if another
-- process heard of the follower later, or if it proved its name and this receipt does not.
insert into follower (name, seq, tag, authenticated, seen_at)
select receipt.name, receipt.seq, receipt.tag, receipt.authenticated,
    clock_timestamp() - receipt.seconds_ago * interval '1 second'
from unnest($1::text[], $2::bigint[], $3::text[], $4::boolean[], $5::float8[])
    as receipt (name, seq, tag, authenticated, seconds_ago)
on conflict (name) do update
set seq = excluded.seq, tag = excluded.tag, authenticated = excluded.authenticated,
    seen_at = excluded.seen_at
where follower.seen_at <= excluded.seen_at
    and (excluded.authenticated or not follower.authenticated);

-- name: list()
-- `behind_since` is when the first revocation was made that the follower has not applied.
select follower.name, follower.seq, follower.tag, follower.authenticated, follower.seen_at,
    feed_head.seq as head_seq, clock_timestamp() as at,
    (
        select denylist.created_at from denylist
        where denylist.seq > follower.seq order by denylist.seq limit 1
    ) as behind_since
from follower, feed_head where feed_head.topic = 'denylist' order by follower.name;

-- name: delete_silent(life)
delete from follower where seen_at < clock_timestamp() - $1::interval returning name;
