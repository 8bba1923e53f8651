-- Disables, revokes or deletes API keys, or revokes their tokens only, in one round trip.
--
--   ending   'key_disabled', 'key_revoked', 'key_deleted' or 'key_tokens_revoked'.
--   operation  How the audit trail names it; `detail` is what it keeps of it.
--   actor    Who acts, or an array with the actor of each place.
--   key_ids  The keys. Where the id is null, the digest at the same place finds the key.
--   leeway   How long a revocation stays after its last token has expired.
--
-- The result has one row for each place. `outcome` is
--   'ended'     the state was changed and the revocation was written.
--   'repeated'  this had been done before. Nothing is written, and the answer proves that the first
--               act is durable.
--   'refused'   the key is revoked, so it cannot be disabled.
--   'unknown'   there is no such key, or it was deleted.
-- `shown` is the key afterwards, null if it is deleted. `records` are its revocations, oldest
-- first.
create function end_keys(
    ending text, operation text, key_ids text[], digests bytea[], actor jsonb, detail jsonb,
    leeway interval
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
    known_ids text[];           -- those that are not deleted
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
    perform from api_key_window as locked where locked.key_id = any (found_ids)
    order by locked.key_id for no key update;
    present := clock_timestamp();
    select issuance.longest_life into life from issuance;

    -- known: the keys before the change. `lives` is false if its tokens are all revoked already.
    -- The clock may have been set back, so the watermark is at least the latest `iat` given out.
    with known as materialized (
        select api_key.id, api_key.disabled_at, api_key.revoked_at is null as lives,
            greatest(present, api_key_window.latest_iat) as upto
        from api_key
            join account on account.id = api_key.account_id
            join api_key_window on api_key_window.key_id = api_key.id
        where api_key.id = any (found_ids)
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
            deleted_at = case when end_keys.ending = 'key_deleted' then present end,
            watermark = greatest(api_key.watermark, known.upto)
        from known
        where api_key.id = known.id
            and case end_keys.ending
                when 'key_disabled' then known.lives and known.disabled_at is null
                when 'key_revoked' then known.lives
                else true
            end
        returning api_key.id, api_key.watermark,
            known.lives or end_keys.ending = 'key_tokens_revoked' as must_revoke
    )
    select (select array_agg(known.id) from known),
        array_agg(ended.id order by ended.id),
        array_agg(ended.id order by ended.id) filter (where ended.must_revoke),
        array_agg(ended.watermark order by ended.id) filter (where ended.must_revoke)
    into known_ids, ended_ids, revoked_ids, revoked_upto
    from ended;

    perform append_audit_events(
        array_agg(
            case
                when jsonb_typeof(end_keys.actor) = 'array'
                then end_keys.actor -> array_position(found_ids, ended.id) - 1
                else end_keys.actor
            end
            order by ended.id
        ),
        array_agg(end_keys.operation), array_agg(ended.id order by ended.id),
        array_agg(end_keys.detail)
    )
    from unnest(ended_ids) as ended (id);

    if revoked_ids is not null then
        perform append_revocations(
            array_fill('key'::text, array[cardinality(revoked_ids)]), revoked_ids, revoked_upto,
            array(
                select upto.watermark + life + leeway
                from unnest(revoked_upto) with ordinality as upto (watermark, place)
                order by upto.place
            ),
            array_fill(end_keys.ending, array[cardinality(revoked_ids)]), false
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
            where record.value = asked.id and record.kind = 'key' order by record.seq
        )
    from unnest(found_ids) with ordinality as asked (id, place)
        left join lateral (
            select one as key from listed_api_key as one where one.id = asked.id offset 0
        ) as listed on true
    order by asked.place;
end $$;
