-- Appends events of which somebody is told, in the order of the arrays, and a delivery for each
-- endpoint that wants to know. Nothing else inserts into notice_event.
--
--   accounts   Whose event it is; null: one of the service itself, which no account is told of.
--   details    What receivers are told besides. They must never hold a secret.
--   onces      A text of which there is one event only; a second one is left out. null: any number.
--   endpoints  The one endpoint that is told, whatever it wants to know; null: all that want it.
--
-- The result is the number of each event that was appended, and its place in the arrays. All who
-- append take turns until they commit. So the numbers of a subject have no gaps, in the order of
-- commits: a receiver can put its events in order, and sees whether one is still to come.
create function append_notices(
    names text[], moments timestamptz[], accounts text[], subjects text[], details jsonb[],
    onces text[], endpoints text[]
)
returns table (place int, number bigint)
language plpgsql
as $$
#variable_conflict use_column
declare
    present constant timestamptz := clock_timestamp();
begin
    perform pg_advisory_xact_lock(7265309616);
    return query
    with asked as materialized (
        select one.*
        from unnest(names, moments, accounts, subjects, details, onces, endpoints) with ordinality
            as one (name, at, account_id, subject, detail, once, endpoint_id, place)
        where one.once is null
            or not exists (select from notice_event as known where known.once = one.once)
    ),
    counted as (
        insert into notice_number as known (subject, number)
        select asked.subject, count(*) from asked group by asked.subject
        on conflict (subject) do update set number = known.number + excluded.number
        returning known.subject, known.number
    ),
    -- The number of an event is known before it is inserted, to tell which place it has.
    numbered as materialized (
        select asked.*,
            counted.number - count(*) over (partition by asked.subject)
                + row_number() over (partition by asked.subject order by asked.place)
                as subject_number
        from asked join counted on counted.subject = asked.subject
    ),
    appended as (
        insert into notice_event (
            id, at, name, account_id, subject, subject_number, detail, once
        )
        select 'ntc_' || replace(gen_random_uuid()::text, '-', ''), coalesce(one.at, present),
            one.name, one.account_id, one.subject, one.subject_number, one.detail, one.once
        from numbered as one order by one.place
        returning number, name, account_id, subject, subject_number
    ),
    placed as materialized (
        select appended.*, numbered.place, numbered.endpoint_id
        from appended join numbered on numbered.subject = appended.subject
            and numbered.subject_number = appended.subject_number
    ),
    delivered as (
        insert into notice_delivery (event_number, endpoint_id, created_at, next_at)
        select placed.number, wanting.id, present, present
        from placed cross join lateral (
            select endpoint.id, endpoint.events from notice_endpoint as endpoint
            where placed.endpoint_id is null and endpoint.account_id is null
                and endpoint.deleted_at is null and endpoint.disabled_at is null
                and endpoint.confirmed_at is not null
            union all
            select endpoint.id, endpoint.events from notice_endpoint as endpoint
            where placed.endpoint_id is null and endpoint.account_id = placed.account_id
                and endpoint.deleted_at is null and endpoint.disabled_at is null
                and endpoint.confirmed_at is not null
            union all
            select endpoint.id, '{}' from notice_endpoint as endpoint
            where endpoint.id = placed.endpoint_id and endpoint.deleted_at is null
        ) as wanting
        where wanting.events = '{}' or placed.name = any (wanting.events)
        order by placed.number
        returning endpoint_id
    ),
    woken as (
        update notice_endpoint as endpoint set due_at = least(endpoint.due_at, present)
        from (select distinct endpoint_id from delivered) as told
        where endpoint.id = told.endpoint_id
        returning endpoint.id
    )
    select placed.place::int, placed.number
    from placed cross join (select count(*) from woken) as done
    order by placed.place;
end $$;
