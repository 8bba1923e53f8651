-- Disables, revokes or deletes API keys, or revokes their tokens only, in one round trip.
--
--   ending   'key_disabled', 'key_revoked', 'key_deleted' or 'key_tokens_revoked'.
--   operation  How the audit trail names it; `detail` is what it keeps of it.
--   actor    Who acts, or an array with the actor of each place.
--   key_ids  The keys. Where the id is null, the digest at the same place finds the key.
--   leeway   How long a revocation stays after its last token has expired.
--   keep_successors  Whether what a key has made by rotating itself is spared. Else it is revoked
--            with a key that is revoked or deleted, because whoever had the key may have made it.
--
-- The result has one row for each place. `outcome` is
--   'ended'     the state was changed and the revocation was written.
--   'repeated'  this had been done before. Nothing is written, and the answer proves that the first
--               act is durable.
--   'refused'   the key is revoked, so it cannot be disabled.
--   'unknown'   there is no such key, or it was deleted.
-- `shown` is the key afterwards, null if it is deleted. `records` are its revocations, and those of
-- the successors that ended with it, oldest first.
create function end_keys(
    ending text, operation text, key_ids text[], digests bytea[], actor jsonb, detail jsonb,
    leeway interval, keep_successors boolean
)
returns table (
    place int, outcome text, key_id text, shown listed_api_key, at timestamptz,
    records listed_revocation[]
)
language plpgsql
set plan_cache_mode = force_generic_plan set jit = off set enable_seqscan = off
as $$
declare
    found_ids text[];           -- the key of each place, null if there is none
    made_ids text[];            -- the successors that end with their predecessor
    made_from text[];           -- in the same order, the key of a place that each comes from
    known_ids text[];           -- those of found_ids that are not deleted
    ended_ids text[];           -- those that this act has changed
    revoked_ids text[];         -- those of them whose tokens have to be revoked
    revoked_upto timestamptz[];
    present timestamptz;
    life interval;
begin
    select array_agg(coalesce(asked.id, api_key.id) order by asked.place) into found_ids
    from unnest(key_ids, digests) with ordinality as asked (id, digest, place)
        left join api_key on api_key.digest = asked.digest;

    -- Lock, then read clock and state, as judge_exchanges does. An exchange that held the row
    -- before has its `iat` before our moment, and one that comes later sees our change.
    -- Successors have the same row, so no key can make one meanwhile.
    perform from api_key_window as locked
    where locked.key_id = any (array(select window_id from api_key where id = any (found_ids)))
    order by locked.key_id for no key update;
    present := clock_timestamp();
    select issuance.longest_life into life from issuance;

    if end_keys.ending in ('key_revoked', 'key_deleted') and not keep_successors then
        with recursive made (id, origin) as (
            select api_key.id, api_key.predecessor_id from api_key
            where api_key.predecessor_id = any (found_ids) and api_key.made_by_predecessor
            union
            select api_key.id, made.origin
            from made join api_key on api_key.predecessor_id = made.id
            where api_key.made_by_predecessor
        )
        select array_agg(made.id), array_agg(made.origin) into made_ids, made_from from made;
    end if;

    -- known: the keys before the change. `lives` is false if its tokens are all revoked already.
    -- The clock may have been set back, so the watermark is at least the latest `iat` given out.
    with known as materialized (
        select api_key.id, api_key.disabled_at, api_key.revoked_at is null as lives,
            greatest(present, api_key_window.latest_iat) as upto
        from api_key
            join account on account.id = api_key.account_id
            join api_key_window on api_key_window.key_id = api_key.window_id
        where api_key.id = any (found_ids || made_ids)
            and api_key.deleted_at is null and account.deleted_at is null
    ),
    ended as (
        update api_key
        set disabled_at = case
                when end_keys.ending = 'key_disabled' then present else api_key.disabled_at
            end,
            revoked_at = case
                when end_keys.ending in ('key_revoked', 'key_deleted')
                then coalesce(api_key.revoked_at, present)
                else api_key.revoked_at
            end,
            deleted_at = case
                when end_keys.ending = 'key_deleted' and api_key.id = any (found_ids) then present
            end,
            watermark = greatest(api_key.watermark, known.upto)
        from known
        where api_key.id = known.id
            and case end_keys.ending
                when 'key_disabled' then known.lives and known.disabled_at is null
                when 'key_revoked' then known.lives
                else known.lives or api_key.id = any (found_ids)
            end
        returning api_key.id, api_key.watermark,
            known.lives or end_keys.ending = 'key_tokens_revoked' as must_revoke
    )
    select (select array_agg(known.id) from known where known.id = any (found_ids)),
        array_agg(ended.id order by ended.id),
        array_agg(ended.id order by ended.id) filter (where ended.must_revoke),
        array_agg(ended.watermark order by ended.id) filter (where ended.must_revoke)
    into known_ids, ended_ids, revoked_ids, revoked_upto
    from ended;

    perform append_audit_events(
        array_agg(
            case
                when jsonb_typeof(end_keys.actor) = 'array'
                then end_keys.actor -> array_position(found_ids, named.id) - 1
                else end_keys.actor
            end
            order by ended.id
        ),
        array_agg(
            case when ended.id = named.id then end_keys.operation else 'keys.revoke' end
            order by ended.id
        ),
        array_agg(ended.id order by ended.id),
        array_agg(
            case
                when ended.id = named.id then end_keys.detail
                else jsonb_build_object('with_predecessor', named.id)
            end
            order by ended.id
        )
    )
    from unnest(ended_ids) as ended (id)
        cross join lateral (
            select case
                when ended.id = any (found_ids) then ended.id
                else made_from[array_position(made_ids, ended.id)]
            end as id
        ) as named;

    if revoked_ids is not null then
        perform append_revocations(
            array_fill('key'::text, array[cardinality(revoked_ids)]), revoked_ids, revoked_upto,
            array(
                select upto.watermark + life + leeway
                from unnest(revoked_upto) with ordinality as upto (watermark, place)
                order by upto.place
            ),
            array(
                select case
                    when revoked.id = any (found_ids) then end_keys.ending else 'key_revoked'
                end
                from unnest(revoked_ids) with ordinality as revoked (id, place)
                order by revoked.place
            ),
            false
        );
    elsif ended_ids is null and known_ids is not null then
        perform prove_durable();
    end if;

    -- Nobody is unknown while a backup is being restored.
    if coalesce(cardinality(known_ids), 0) < cardinality(found_ids)
        and not (
            database_is_whole()
            and exists (select from feed_head where topic = 'denylist')
        )
    then
        raise 'the database is not initialised'
            using errcode = 'object_not_in_prerequisite_state';
    end if;

    -- `offset 0` keeps the search for one key together. Else a planner without statistics would
    -- list all keys of the accounts first, while everybody waits for feed_head.
    return query
    select asked.place::int,
        case
            when asked.id in (select unnest(ended_ids)) then 'ended'
            when (listed.key).id is null then 'unknown'
            when end_keys.ending = 'key_disabled' and (listed.key).revoked_at is not null
                then 'refused'
            else 'repeated'
        end,
        asked.id, listed.key, present,
        array(
            select record from listed_revocation as record
            where record.kind = 'key' and record.value = any (asked.id || array(
                select made.id from unnest(made_ids, made_from) as made (id, origin)
                where made.origin = asked.id
            ))
            order by record.seq
        )
    from unnest(found_ids) with ordinality as asked (id, place)
        left join lateral (
            select one as key from listed_api_key as one where one.id = asked.id offset 0
        ) as listed on true
    order by asked.place;
end $$;
