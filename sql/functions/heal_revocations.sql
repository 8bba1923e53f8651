-- Writes again what a process remembers as acknowledged and this database has lost, in one round
-- trip, with the state that belongs to it.
--
-- The arrays hold the remembered revocations: the i-th of each belongs to the same one. `facts`
-- says of every ending: its severity, its operation, what undoes it, and whether it changes a
-- state.
-- What the denylist covers (it reaches as far and takes away as much), or what had expired at
-- `in_force_at`, is left out. The result is what was appended.
create function heal_revocations(
    kinds text[], named text[], watermarks timestamptz[], created timestamptz[],
    expiries timestamptz[], endings text[], facts jsonb, actor jsonb, leeway interval,
    in_force_at timestamptz
)
returns setof listed_revocation
language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
as $$
declare
    lost int[];                 -- places of what is lost
    ending_again int[];         -- places of those whose key or account is ended again
    present timestamptz;
    life interval;
begin
    -- Processes heal one after another. Each statement from here on sees what the one before did.
    perform pg_advisory_xact_lock(7265309613);
    select array_agg(asked.place order by asked.place) into lost
    from unnest(kinds, named, watermarks, expiries, endings) with ordinality
        as asked (kind, value, watermark, expires_at, ending, place)
    where asked.expires_at > in_force_at
        and not exists (
            select from denylist
            where denylist.value = asked.value and denylist.kind = asked.kind
                and denylist.expires_at >= asked.expires_at
                and (asked.watermark is null or denylist.watermark >= asked.watermark)
                and (facts -> denylist.ending -> 'severity')::int
                    >= (facts -> asked.ending -> 'severity')::int
        );
    if lost is null then
        return;
    end if;

    -- Lock, then read clock and state: see judge_exchanges.
    perform from account_window as locked where locked.account_id = any (named)
    order by locked.account_id for no key update;
    perform from api_key_window as locked
    where locked.key_id = any (array(select window_id from api_key where id = any (named)))
    order by locked.key_id for no key update;
    present := clock_timestamp();
    select issuance.longest_life into life from issuance;

    -- What was undone later, by somebody whose act has survived, is not ended again. The moment of
    -- the ending is the earlier one of watermark and writing: a watermark may lie ahead.
    select coalesce(array_agg(asked.place), '{}') into ending_again
    from unnest(named, watermarks, created, endings) with ordinality
        as asked (value, watermark, created_at, ending, place)
    where asked.place = any (lost)
        and (facts -> asked.ending -> 'changes_state')::boolean
        and not exists (
            select from audit_event
            where audit_event.subject = asked.value
                and audit_event.operation = facts -> asked.ending ->> 'undone_by'
                and audit_event.at >= least(asked.watermark, asked.created_at)
        );

    -- again: a row for each key and account, because several revocations of one may be lost. It
    -- may have got tokens meanwhile, so if it is ended again its watermark is now, or the latest
    -- `iat` given out.
    update account
    set watermark = greatest(
            account.watermark, again.watermark,
            case
                when again.is_suspended or again.is_deleted
                then greatest(present, account_window.latest_iat)
            end
        ),
        suspended_at = case
            when again.is_suspended then coalesce(account.suspended_at, present)
            else account.suspended_at
        end,
        deleted_at = case
            when again.is_deleted then coalesce(account.deleted_at, present)
            else account.deleted_at
        end
    from (
            select asked.value, max(asked.watermark) as watermark,
                bool_or(asked.ending = 'account_suspended' and asked.place = any (ending_again))
                    as is_suspended,
                bool_or(asked.ending = 'account_deleted' and asked.place = any (ending_again))
                    as is_deleted
            from unnest(kinds, named, watermarks, endings) with ordinality
                as asked (kind, value, watermark, ending, place)
            where asked.place = any (lost) and asked.kind = 'account'
            group by asked.value
        ) as again
        join account_window on account_window.account_id = again.value
    where account.id = again.value;
    update api_key
    set watermark = greatest(
            api_key.watermark, again.watermark,
            case
                when again.is_disabled or again.is_revoked
                then greatest(present, api_key_window.latest_iat)
            end
        ),
        disabled_at = case
            when again.is_disabled then coalesce(api_key.disabled_at, present)
            else api_key.disabled_at
        end,
        revoked_at = case
            when again.is_revoked then coalesce(api_key.revoked_at, present)
            else api_key.revoked_at
        end,
        deleted_at = case
            when again.is_deleted then coalesce(api_key.deleted_at, present)
            else api_key.deleted_at
        end
    from (
            select asked.value, max(asked.watermark) as watermark,
                bool_or(asked.ending = 'key_disabled' and asked.place = any (ending_again))
                    as is_disabled,
                bool_or(
                    asked.ending in ('key_revoked', 'key_deleted')
                    and asked.place = any (ending_again)
                ) as is_revoked,
                bool_or(asked.ending = 'key_deleted' and asked.place = any (ending_again))
                    as is_deleted
            from unnest(kinds, named, watermarks, endings) with ordinality
                as asked (kind, value, watermark, ending, place)
            where asked.place = any (lost) and asked.kind = 'key'
            group by asked.value
        ) as again
        join api_key as counted on counted.id = again.value
        join api_key_window on api_key_window.key_id = counted.window_id
    where api_key.id = again.value;

    perform append_audit_events(
        array_agg(heal_revocations.actor),
        array_agg(facts -> asked.ending ->> 'operation' order by asked.place),
        array_agg(asked.value order by asked.place),
        array_agg(
            jsonb_build_object(
                'reason', 'healed after a loss',
                'upto', extract(epoch from date_trunc('second', asked.watermark))::bigint
            )
            order by asked.place
        )
    )
    from unnest(named, watermarks, endings) with ordinality
        as asked (value, watermark, ending, place)
    where asked.place = any (lost);

    return query
    select appended.*
    from (
        select array_agg(asked.kind order by asked.place) as kinds,
            array_agg(asked.value order by asked.place) as named,
            array_agg(raised.watermark order by asked.place) as watermarks,
            array_agg(
                greatest(asked.expires_at, raised.watermark + life + leeway) order by asked.place
            ) as expiries,
            array_agg(asked.ending order by asked.place) as endings
        from unnest(kinds, named, watermarks, expiries, endings) with ordinality
                as asked (kind, value, watermark, expires_at, ending, place)
            left join account on account.id = asked.value and asked.kind = 'account'
            left join api_key on api_key.id = asked.value and asked.kind = 'key'
            -- A key that is lost altogether leaves its watermark as it was.
            cross join lateral (
                select case
                    when asked.place = any (ending_again)
                    then greatest(asked.watermark, account.watermark, api_key.watermark)
                    else asked.watermark
                end as watermark
            ) as raised
        where asked.place = any (lost)
    ) as again
        cross join lateral append_revocations(
            again.kinds, again.named, again.watermarks, again.expiries, again.endings, true
        ) as appended;
end $$;
