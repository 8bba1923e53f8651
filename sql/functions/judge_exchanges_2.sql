-- Judges, admits and counts a batch of exchanges: the service asks this function about all of them.
-- It has the arguments and results of `judge_exchanges`, where each rule is explained. Nearly all
-- batches show API keys and nothing else, each of them once. They are judged here, by a plan that
-- has half of the steps (decision 0027). All others are handed on to `judge_exchanges`. A test
-- holds that both say and count the same.
create function judge_exchanges_2(
    digests bytea, counts int[], claimed_key_ids text[], demands text[],
    expected_at timestamptz, seen_seq bigint, seen_tag text
)
returns table (
    question int, key_id text, account_id text, capabilities text[],
    refusal text, audiences text[], claims text, watermark timestamptz, at timestamptz,
    ahead timestamptz[], admitted int,
    key_per_minute int, key_per_day int, account_per_minute int, account_per_day int,
    key_minute_left int, key_day_left int, account_minute_left int, account_day_left int
)
language plpgsql as $$
declare
    found_questions int[];      -- the questions whose key was found, in no order
    found_account_ids text[];   -- the accounts of their keys, in the order of found_questions
    found_window_ids text[];    -- where they are counted, in the same order
    locked_windows int;
    present timestamptz;
    present_second timestamptz;
    present_minute timestamptz;
    next_minute timestamptz;
    present_day timestamptz;
    next_day timestamptz;
    holds_seen boolean;         -- whether the denylist goes as far as the caller has seen it
    judged_questions int;
begin
    if demands is not null or claimed_key_ids is not null then
        return query select * from judge_exchanges(
            digests, counts, claimed_key_ids, demands, expected_at, seen_seq, seen_tag
        );
        return;
    end if;

    -- Step 1: find out which rows are concerned, and whether the denylist is what was seen.
    select array_agg(asked.question), array_agg(key.account_id), array_agg(key.window_id), (
            select case
                when feed_head.seq = seen_seq then feed_head.tag = seen_tag
                when feed_head.seq > seen_seq then not exists (
                    select from denylist
                    where denylist.seq = seen_seq and denylist.tag <> seen_tag
                )
                else seen_seq is null
            end
            from feed_head where feed_head.topic = 'denylist'
        )
    into found_questions, found_account_ids, found_window_ids, holds_seen
    from generate_series(1, cardinality(counts)) as asked (question)
        join api_key as key on key.digest = substr(digests, 32 * asked.question - 31, 32);
    if holds_seen is not true then
        if holds_seen is null then
            raise exception 'the database is not initialised' using errcode = 'TS002';
        end if;
        raise exception 'the denylist does not hold % (%)', seen_seq, seen_tag
            using errcode = 'TS003';
    end if;

    -- Step 2: lock: accounts before keys, each in the order of their ids.
    perform from account_window where account_window.account_id = any (found_account_ids)
    order by account_window.account_id for no key update;
    perform from api_key_window where api_key_window.key_id = any (found_window_ids)
    order by api_key_window.key_id for no key update;
    get diagnostics locked_windows = row_count;
    -- There are two questions about one key, or about keys that are counted together.
    if locked_windows < cardinality(found_questions) then
        return query select * from judge_exchanges(
            digests, counts, claimed_key_ids, demands, expected_at, seen_seq, seen_tag
        );
        return;
    end if;

    -- Step 3: read the clock, now that all locks are held.
    present := clock_timestamp();
    if present > expected_at + interval '5 seconds'
        or present < expected_at - interval '5 seconds'
    then
        raise exception 'the clock says %, and % was expected', present, expected_at
            using errcode = 'TS001';
    end if;
    present_second := date_trunc('second', present);
    present_minute := date_trunc('minute', present, 'UTC');
    next_minute := present_minute + interval '1 minute';
    present_day := date_trunc('day', present, 'UTC');
    next_day := present_day + interval '1 day';

    -- Step 4: judge, share and count, in one statement.
    return query

    -- judged: a row per key, with the verdict and the limits that hold. A key is found by its
    -- digest once more, because that part of the index is still in the processor's cache. The
    -- windows are those that count now, as `window_start` says, and the counts are those within
    -- them.
    -- `..._row` is where a row that is locked stands: it is found there again to be written.
    with judged as (
        select found.question, counts[found.question] as requests,
            key.id as key_id, key.account_id, key.capabilities, key.claims_text as claims,
            case when key.is_restricted then key.audiences end as audiences,
            greatest(key.watermark, account.watermark) as watermark,
            case
                when key.revoked_at is not null or account.deleted_at is not null then 'revoked'
                when key.expires_at <= present then 'expired'
                when key.disabled_at is not null then 'disabled'
                when account.suspended_at is not null then 'suspended'
                when key.is_restricted then 'facts_missing'
                when key.names_only_own_capabilities then 'unnamed_scope'
            end as refusal,
            coalesce(key.per_minute, key_tier.key_per_minute, account_tier.key_per_minute)
                as key_per_minute,
            coalesce(key.per_day, key_tier.key_per_day, account_tier.key_per_day) as key_per_day,
            coalesce(account.per_minute, account_tier.account_per_minute) as account_per_minute,
            coalesce(account.per_day, account_tier.account_per_day) as account_per_day,
            key_window.ctid as key_row, account_window.ctid as account_row,
            case
                when key_window.minute between present_minute and next_minute
                then key_window.minute else present_minute
            end as key_minute,
            case
                when key_window.minute between present_minute and next_minute
                then key_window.minute_count else 0
            end as key_minute_count,
            case
                when key_window.day between present_day and next_day
                then key_window.day else present_day
            end as key_day,
            case
                when key_window.day between present_day and next_day
                then key_window.day_count else 0
            end as key_day_count,
            case
                when account_window.minute between present_minute and next_minute
                then account_window.minute else present_minute
            end as account_minute,
            case
                when account_window.minute between present_minute and next_minute
                then account_window.minute_count else 0
            end as account_minute_count,
            case
                when account_window.day between present_day and next_day
                then account_window.day else present_day
            end as account_day,
            case
                when account_window.day between present_day and next_day
                then account_window.day_count else 0
            end as account_day_count
        from unnest(found_questions) as found (question)
            join api_key as key on key.deleted_at is null
                and key.digest = substr(digests, 32 * found.question - 31, 32)
            join api_key_window as key_window on key_window.key_id = key.window_id
            join account on account.id = key.account_id
            join account_window on account_window.account_id = account.id
            join tier as account_tier on account_tier.name = account.tier
            left join tier as key_tier on key_tier.name = key.tier
    ),

    -- within_key: what a key gets by its own limits, min(wanted, left). A refused key wants
    -- nothing, nor does one within the second of a watermark.
    within_key as (
        select judged.*,
            case
                when judged.refusal is null
                    and (judged.watermark < present_second) is not false
                then greatest(0, least(
                    judged.requests,
                    judged.key_per_minute - judged.key_minute_count,
                    judged.key_per_day - judged.key_day_count
                ))
                else 0
            end as within_key,
            least(
                judged.account_per_minute - judged.account_minute_count,
                judged.account_per_day - judged.account_day_count
            ) as account_left
        from judged
    ),

    -- shared: what the keys of the account want in all, and those up to this one. They share in
    -- the order of their questions.
    shared as (
        select within_key.*,
            sum(within_key.within_key) over in_order as wanted_so_far,
            sum(within_key.within_key) over (partition by within_key.account_id) as wanted_by_all,
            row_number() over in_order = 1 as is_first_of_account
        from within_key
        window in_order as (
            partition by within_key.account_id order by within_key.question
            rows unbounded preceding
        )
    ),
    granted as materialized (
        select shared.*,
            greatest(0, least(
                shared.within_key,
                shared.account_left - (shared.wanted_so_far - shared.within_key)
            ))::int as admitted,
            greatest(0, least(shared.wanted_by_all, shared.account_left))::int as account_admitted
        from shared
    ),

    -- The counts are written once per key and once per account.
    counted_keys as (
        update api_key_window
        set minute = granted.key_minute,
            minute_count = granted.key_minute_count + granted.admitted,
            day = granted.key_day,
            day_count = granted.key_day_count + granted.admitted,
            latest_iat = greatest(api_key_window.latest_iat, present)
        from granted
        where api_key_window.ctid = granted.key_row and granted.admitted > 0
    ),
    counted_accounts as (
        update account_window
        set minute = granted.account_minute,
            minute_count = granted.account_minute_count + granted.account_admitted,
            day = granted.account_day,
            day_count = granted.account_day_count + granted.account_admitted,
            latest_iat = greatest(account_window.latest_iat, present)
        from granted
        where account_window.ctid = granted.account_row
            and granted.is_first_of_account and granted.account_admitted > 0
    )

    select granted.question, granted.key_id, granted.account_id, granted.capabilities,
        granted.refusal, granted.audiences, granted.claims, granted.watermark, present,
        case
            when greatest(granted.key_minute, granted.account_minute) > present_minute
                or greatest(granted.key_day, granted.account_day) > present_day
                then array[
                    granted.key_minute, granted.key_day,
                    granted.account_minute, granted.account_day
                ]
        end,
        granted.admitted,
        granted.key_per_minute, granted.key_per_day,
        granted.account_per_minute, granted.account_per_day,
        granted.key_per_minute - granted.key_minute_count - granted.admitted,
        granted.key_per_day - granted.key_day_count - granted.admitted,
        granted.account_per_minute - granted.account_minute_count - granted.account_admitted,
        granted.account_per_day - granted.account_day_count - granted.account_admitted
    from granted;

    -- A question without a row has no key. That is true only if all rows are there.
    get diagnostics judged_questions = row_count;
    if judged_questions < cardinality(counts) and not database_is_whole() then
        raise exception 'the database is not restored as a whole' using errcode = 'TS002';
    end if;
end $$;
