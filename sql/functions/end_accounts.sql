-- Suspends or deletes accounts, or revokes the tokens of their keys only, in one round trip.
--
-- Arguments and result are like those of end_keys. `ending` is 'account_suspended',
-- 'account_deleted' or 'account_tokens_revoked'. Nothing is ever refused.
create function end_accounts(
    ending text, operation text, account_ids text[], actor jsonb, detail jsonb, leeway interval
)
returns table (place int, outcome text, shown listed_account, records listed_revocation[])
language plpgsql
set plan_cache_mode = force_generic_plan set jit = off set enable_seqscan = off
as $$
declare
    known_ids text[];
    ended_ids text[];
    ended_upto timestamptz[];
    present timestamptz;
    life interval;
begin
    -- Lock, then read clock and state: see end_keys.
    perform from account_window as locked where locked.account_id = any (account_ids)
    order by locked.account_id for no key update;
    present := clock_timestamp();
    select issuance.longest_life into life from issuance;

    with known as materialized (
        select account.id, account.suspended_at,
            greatest(present, account_window.latest_iat) as upto
        from account join account_window on account_window.account_id = account.id
        where account.id = any (account_ids) and account.deleted_at is null
    ),
    ended as (
        update account
        set suspended_at = case
                when end_accounts.ending = 'account_suspended' then present
                else account.suspended_at
            end,
            deleted_at = case when end_accounts.ending = 'account_deleted' then present end,
            watermark = greatest(account.watermark, known.upto)
        from known
        where account.id = known.id
            and (end_accounts.ending <> 'account_suspended' or known.suspended_at is null)
        returning account.id, account.watermark
    )
    select (select array_agg(known.id) from known),
        array_agg(ended.id order by ended.id), array_agg(ended.watermark order by ended.id)
    into known_ids, ended_ids, ended_upto
    from ended;

    perform append_audit_events(
        array_agg(end_accounts.actor), array_agg(end_accounts.operation),
        array_agg(account.id order by account.id),
        array_agg(
            case
                when end_accounts.ending = 'account_deleted'
                then end_accounts.detail || jsonb_build_object('name', account.name)
                else end_accounts.detail
            end
            order by account.id
        )
    )
    from unnest(ended_ids) as ended (id) join account on account.id = ended.id;

    if ended_ids is not null then
        perform append_revocations(
            array_fill('account'::text, array[cardinality(ended_ids)]), ended_ids, ended_upto,
            array(
                select upto.watermark + life + leeway
                from unnest(ended_upto) with ordinality as upto (watermark, place)
                order by upto.place
            ),
            array_fill(end_accounts.ending, array[cardinality(ended_ids)]), false
        );
    elsif known_ids is not null then
        perform prove_durable();
    end if;

    -- Nobody is unknown while a backup is being restored.
    if coalesce(cardinality(known_ids), 0) < cardinality(account_ids)
        and not (
            database_is_whole()
            and exists (select from feed_head where topic = 'denylist')
        )
    then
        raise 'the database is not initialised'
            using errcode = 'object_not_in_prerequisite_state';
    end if;

    return query
    select asked.place::int,
        case
            when asked.id in (select unnest(ended_ids)) then 'ended'
            when (listed.account).id is null then 'unknown'
            else 'repeated'
        end,
        listed.account,
        array(
            select record from listed_revocation as record
            where record.value = asked.id and record.kind = 'account' order by record.seq
        )
    from unnest(account_ids) with ordinality as asked (id, place)
        left join lateral (
            select one as account from listed_account as one
            where one.id = asked.id offset 0
        ) as listed on true
    order by asked.place;
end $$;
