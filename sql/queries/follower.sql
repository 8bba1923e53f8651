-- What followers have applied.

-- name: relax()
-- A receipt need not outlive a crash: the follower's next question says it again.
set local synchronous_commit = off;

-- name: put(names, seqs, tags, authenticated, seconds_ago)
-- Sorted by name, so that writers cannot deadlock. What another process has heard later stays; who has proved its name keeps it.
insert into follower (name, seq, tag, authenticated, seen_at)
select x.name, x.seq, x.tag, x.authenticated, clock_timestamp() - x.ago * interval '1 second'
from unnest($1::text[], $2::bigint[], $3::text[], $4::boolean[], $5::float8[]) x (name, seq, tag, authenticated, ago)
on conflict (name) do update
set seq = excluded.seq, tag = excluded.tag, authenticated = excluded.authenticated, seen_at = excluded.seen_at
where follower.seen_at <= excluded.seen_at and (excluded.authenticated or not follower.authenticated);

-- name: list()
-- With the moment from which each lags: when the first entry that it has not applied was made.
select f.name, f.seq, f.tag, f.authenticated, f.seen_at, h.seq as head_seq, clock_timestamp() as at,
    (select d.created_at from denylist d where d.seq > f.seq order by d.seq limit 1) as behind_since
from follower f, feed_head h where h.topic = 'denylist' order by f.name;

-- name: delete_silent(life)
delete from follower where seen_at < clock_timestamp() - $1::interval returning name;
