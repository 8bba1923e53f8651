-- Appends revocations to the denylist, in the order of the arrays, and wakes every process at the
-- commit. Nothing else inserts into denylist.
--
-- The row of feed_head is the last lock that a transaction takes, because it is held until the
-- commit and all others that revoke wait for it: so the numbers have no gaps in the order of
-- commits. Whoever calls this in a transaction of several statements calls it last.
create function append_revocations(
    kinds text[], named text[], watermarks timestamptz[], expiries timestamptz[], endings text[],
    healed boolean
)
returns setof listed_revocation
language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
as $$
declare
    tags text[];
    last_seq bigint;
begin
    perform pg_notify('tokensvc', '');
    select array_agg(substr(md5(gen_random_uuid()::text), 1, 16)) into tags from unnest(named);
    update feed_head
    set seq = feed_head.seq + cardinality(named), tag = tags[cardinality(named)]
    where topic = 'denylist'
    returning feed_head.seq into last_seq;
    -- The rows of a backup that is being restored may still be to come.
    if last_seq is null or not database_is_whole() then
        raise 'the database is not initialised'
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    return query
    insert into denylist (seq, tag, kind, value, watermark, created_at, expires_at, ending, healed)
    select last_seq - cardinality(named) + new.place, tags[new.place], new.kind, new.value,
        new.watermark, clock_timestamp(), new.expires_at, new.ending, append_revocations.healed
    from unnest(kinds, named, watermarks, expiries, endings) with ordinality
        as new (kind, value, watermark, expires_at, ending, place)
    order by new.place
    returning denylist.seq, denylist.tag, denylist.kind, denylist.value, denylist.watermark,
        denylist.created_at, denylist.expires_at, denylist.ending, denylist.healed;
end $$;
