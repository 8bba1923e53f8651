-- Notes where API keys were found that have leaked, and disables or revokes them, in one round
-- trip.
--
--   digests  SHA-256 of each key that was found; `urls` and `sources` say where, at the same place.
--            A key may stand there several times.
--   ending   'key_disabled' or 'key_revoked'.
--   operation  How the audit trail names the report.
--   leeway   As in end_keys.
--
-- A key that is still good takes the successors with it that it has made by rotating itself,
-- because whoever found it may have made them. A key that is over already takes none: one that was
-- rotated long ago and lies in an old commit must not be a way to end the key of today.
--
-- The result has a row for each key that is known, and for each successor: its revocations, oldest
-- first. The audit trail tells of each key that was ended or was found in a place that was not
-- known. Nobody has found the successors, so the trail says of them that they were disabled or
-- revoked with their predecessor. A report that tells nothing new writes nothing, and its answer
-- proves that the first one is durable.
create function report_leaks(
    digests bytea[], urls text[], sources text[], ending text, operation text, actor jsonb,
    leeway interval
)
returns table (key_id text, records listed_revocation[])
language plpgsql
set plan_cache_mode = force_generic_plan set jit = off set enable_seqscan = off
as $$
declare
    most_places constant int := 50;
    found_ids text[];           -- the reported keys, each once
    places_of text[];           -- those of them that were found in a place that was not known
    made_ids text[];            -- the successors that end too
    made_from text[];           -- in the same order, the reported key that each comes from
    ended_ids text[];           -- those of found_ids that this report has ended
    family record;              -- the successors of one reported key
    present timestamptz;
begin
    select array_agg(distinct key.id) into found_ids
    from unnest(digests) as reported (digest)
        join api_key as key on key.digest = reported.digest
        join account on account.id = key.account_id
    where key.deleted_at is null and account.deleted_at is null;

    if found_ids is null then
        -- Nobody is unknown while a backup is being restored.
        if not (
            database_is_whole() and exists (select from feed_head where topic = 'denylist')
        ) then
            raise 'the database is not initialised'
                using errcode = 'object_not_in_prerequisite_state';
        end if;
        return;
    end if;

    -- Lock, then read clock and state, as end_keys does, which locks the same rows once more. So
    -- no key can make a successor meanwhile, and reports of one key come one after the other.
    perform from api_key_window as locked
    where locked.key_id = any (array(select window_id from api_key where id = any (found_ids)))
    order by locked.key_id for no key update;
    present := clock_timestamp();

    with told as (
        select distinct key.id, reported.url, reported.source
        from unnest(digests, urls, sources) as reported (digest, url, source)
            join api_key as key on key.digest = reported.digest
        where key.id = any (found_ids)
            and not exists (
                select from key_leak
                where key_leak.key_id = key.id and key_leak.url = reported.url
                    and key_leak.source = reported.source
            )
    ),
    numbered as (
        select told.id, told.url, told.source,
            row_number() over (partition by told.id order by told.url, told.source)
                + (select count(*) from key_leak where key_leak.key_id = told.id) as number
        from told
    ),
    noted as (
        insert into key_leak (key_id, url, source, reported_at)
        select numbered.id, numbered.url, numbered.source, present
        from numbered where numbered.number <= most_places
        returning key_leak.key_id
    )
    select array_agg(distinct noted.key_id) into places_of from noted;

    with recursive made (id, origin) as (
        select key.id, reported.id
        from api_key as key join api_key as reported on reported.id = key.predecessor_id
        where reported.id = any (found_ids) and key.made_by_predecessor
            and reported.revoked_at is null and reported.disabled_at is null
            and (reported.expires_at is null or reported.expires_at > present)
        union
        select key.id, made.origin
        from made join api_key as key on key.predecessor_id = made.id
        where key.made_by_predecessor
    ),
    successor as (
        select distinct on (made.id) made.id, made.origin from made
        where made.id <> all (found_ids) order by made.id, made.origin
    )
    select array_agg(successor.id order by successor.id),
        array_agg(successor.origin order by successor.id)
    into made_ids, made_from
    from successor;

    select array_agg(ended.key_id) filter (where ended.outcome = 'ended') into ended_ids
    from end_keys(
        report_leaks.ending, report_leaks.operation, found_ids, null, report_leaks.actor,
        jsonb_build_object('ending', report_leaks.ending), leeway, true
    ) as ended;

    -- If something was ended, audit_head is locked already; else feed_head is not locked either.
    perform append_audit_events(
        array_agg(report_leaks.actor order by place.id),
        array_agg(report_leaks.operation order by place.id),
        array_agg(place.id order by place.id),
        array_agg(jsonb_build_object('ending', null) order by place.id)
    )
    from unnest(places_of) as place (id)
    where place.id <> all (coalesce(ended_ids, '{}'));

    -- A successor has the window row of its origin, so it is locked already.
    for family in
        select made.origin, array_agg(made.id order by made.id) as ids
        from unnest(made_ids, made_from) as made (id, origin)
        group by made.origin order by made.origin
    loop
        perform end_keys(
            report_leaks.ending,
            case report_leaks.ending
                when 'key_disabled' then 'keys.disable' else 'keys.revoke'
            end,
            family.ids, null, report_leaks.actor,
            jsonb_build_object('with_predecessor', family.origin), leeway, true
        );
    end loop;

    return query
    select one.id,
        array(
            select record from listed_revocation as record
            where record.kind = 'key' and record.value = one.id order by record.seq
        )
    from unnest(found_ids || made_ids) as one (id);
end $$;
