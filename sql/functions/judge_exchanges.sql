-- Judges, admits and counts a batch of exchanges in one round trip. No exchange is decided
-- anywhere else.
--
-- The batch is a list of questions. A question stands for a number of requests that are alike:
--   digests          SHA-256 of the API key, or 32 zero bytes if a token is shown to be narrowed.
--                    All digests stand in one string, because the caller encodes it faster than an
--                    array.
--   counts           How many requests the question stands for. 0: it is judged but not counted.
--   claimed_key_ids  The key id that the client claims beside an API key, or that a shown token
--                    names. Null if there is none; the whole array is null if no question has one.
--   demands          JSON of what few requests have: the `scope` they ask for, what a shown token
--                    says, and the client that is shown beside it. Null in the same way. `address`
--                    is that of the client, and `audience` the one of the new token: they are left
--                    out of most requests, because most keys may be used for every audience and
--                    from everywhere. A key that may not is refused with `facts_missing` then.
--
-- The result has one row for each question whose key exists. `question` is its place in the batch,
-- from 1. `refusal` is null if the request may have a token. `audiences` is null unless the key is
-- restricted: then it is its list, which is empty if only its networks are. `claims` is JSON of
-- what stands in all its tokens, null if that is nothing. `admitted` is how many tokens the key
-- gets for all its questions together, and stands in each of their rows: the caller hands them
-- out in the order in which the requests arrived. Only what is admitted is counted, so a request
-- that is refused costs nothing. `at` is the clock of the decision: the `iat` of the tokens.
-- `ahead` is null unless a window that counts began later than the clock says (see window_start):
-- then it has the beginnings of all four windows, in the order of the limits.
--
-- The caller also says what it expects, so that nothing is judged or counted by a clock or a
-- database that it must not believe. What it does not expect is null.
--   expected_at      What the clock should say. TS001: it is more than 5 seconds off.
--   seen_seq, seen_tag  A position of the denylist that the caller has seen. TS003: this database
--                    is behind it, or has another history, as after a restore or a failover.
-- TS002 is raised while the database is not initialised, or not restored as a whole.
create function judge_exchanges(
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
    found_key_ids text[];       -- their keys, in the order of found_questions
    found_account_ids text[];   -- their accounts, in the same order
    found_window_ids text[];    -- where they are counted, in the same order
    parsed_demands jsonb[] := demands::jsonb[];
    shows_token boolean := false;   -- whether a token is shown whose key was found
    present timestamptz;
    present_minute timestamptz;
    present_day timestamptz;
    holds_seen boolean;         -- whether the denylist goes as far as the caller has seen it
    judged_questions int;
begin
    -- Step 1: find out which rows are concerned. Nothing is locked yet, so nothing that may change
    -- is read: a key never changes its digest, account or window, and the denylist never goes back
    -- while this statement runs. If it goes further than the caller has seen, then what was seen
    -- must be part of it, unless that has expired and was deleted.
    select array_agg(asked.question), array_agg(key.id), array_agg(key.account_id),
        array_agg(key.window_id), (
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
    into found_questions, found_key_ids, found_account_ids, found_window_ids, holds_seen
    from generate_series(1, cardinality(counts)) as asked (question)
        join api_key as key on key.digest = substr(digests, 32 * asked.question - 31, 32);
    if holds_seen is not true then
        -- A revoked key would get a token.
        if holds_seen is null then
            raise exception 'the database is not initialised' using errcode = 'TS002';
        end if;
        raise exception 'the denylist does not hold % (%)', seen_seq, seen_tag
            using errcode = 'TS003';
    end if;
    -- A question without a digest shows a token, which names its key. This costs a second search
    -- only in a batch that has demands.
    if demands is not null then
        select found_questions || array_agg(asked.question), found_key_ids || array_agg(key.id),
            found_account_ids || array_agg(key.account_id),
            found_window_ids || array_agg(key.window_id), count(*) > 0
        into found_questions, found_key_ids, found_account_ids, found_window_ids, shows_token
        from generate_series(1, cardinality(counts)) as asked (question)
            join api_key as key on key.id = claimed_key_ids[asked.question]
        where substr(digests, 32 * asked.question - 31, 32) = decode(repeat('00', 32), 'hex');
    end if;

    -- Step 2: lock. Every exchange, and every change to the state of a key or account, locks the
    -- window rows first: accounts before keys, each in the order of their ids. All keep to this
    -- order, so they cannot deadlock. A key and its successors have one window row together.
    perform from account_window where account_window.account_id = any (found_account_ids)
    order by account_window.account_id for no key update;
    perform from api_key_window where api_key_window.key_id = any (found_window_ids)
    order by api_key_window.key_id for no key update;

    -- Step 3: read the clock, now that all locks are held, and in step 4 the state, by a statement
    -- of its own, because each statement sees what was committed before it began. A revocation
    -- holds the same row while it reads the clock and until it commits. So if this exchange comes
    -- later, it sees the revocation. If it comes first, its tokens were issued before the
    -- watermark, and are revoked too.
    present := clock_timestamp();
    if present > expected_at + interval '5 seconds'
        or present < expected_at - interval '5 seconds'
    then
        raise exception 'the clock says %, and % was expected', present, expected_at
            using errcode = 'TS001';
    end if;
    present_minute := date_trunc('minute', present, 'UTC');
    present_day := date_trunc('day', present, 'UTC');

    -- Step 4: judge, share and count, in one statement.
    return query

    -- judged: a row per question whose key exists, with the verdict, the limits that hold (a key's
    -- own before its tier's, and its own tier before the account's) and the last counts.
    with judged as (
        select asked.question, asked.requests, key.id as key_id, key.account_id, key.window_id,
            key.capabilities, key.claims_text as claims,
            case when key.is_restricted then key.audiences end as audiences,
            greatest(key.watermark, account.watermark) as watermark,
            -- The client beside a shown token comes first: whoever it is, it must be good.
            coalesce(case when asked.demand ? 'client'
                then judge_client(asked.demand, present) end, case
                -- The state of the key and its account: this order, because the final states
                -- come first.
                when key.revoked_at is not null or account.deleted_at is not null then 'revoked'
                when key.expires_at <= present then 'expired'
                when key.disabled_at is not null then 'disabled'
                when account.suspended_at is not null then 'suspended'
                when asked.claimed_key_id <> key.id then 'wrong_client_id'
                -- Where the key may be used, and what for. Whoever is elsewhere learns no more.
                when key.is_restricted and (asked.demand ? 'address') is not true
                    then 'facts_missing'
                when key.is_restricted and cardinality(key.networks) > 0
                    and ((asked.demand ->> 'address')::inet <<= any (key.networks)) is not true
                    then 'wrong_network'
                when key.is_restricted and cardinality(key.audiences) > 0
                    and asked.demand ->> 'audience' <> all (key.audiences)
                    then 'wrong_audience'
                -- No scope is asked for, and nothing is given that is not asked for.
                when asked.demand is null
                    then case when key.names_only_own_capabilities then 'unnamed_scope' end
                when key.names_only_own_capabilities
                    and not asked.demand ? 'scope' then 'unnamed_scope'
                -- A shown token must be live. Its times are whole seconds, so the watermark and
                -- the clock are rounded down to seconds for the comparison.
                when asked.demand ->> 'account_id' <> key.account_id
                    or (asked.demand -> 'iat')::bigint <= extract(
                        epoch from date_trunc('second', greatest(key.watermark, account.watermark))
                    )
                    or exists (
                        select from denylist
                        where (denylist.value, denylist.kind) in (
                            (asked.demand ->> 'jti', 'jti'), (asked.demand ->> 'kid', 'kid')
                        )
                    )
                    then 'revoked'
                when (asked.demand -> 'exp')::bigint
                    <= extract(epoch from date_trunc('second', present))
                    then 'expired'
                -- A token for one audience becomes one for another only for the key itself.
                when asked.demand ? 'other_audience'
                    and asked.demand ->> 'client' is distinct from encode(key.digest, 'hex')
                    then 'invalid_target'
                -- The key must hold every capability that is asked for, and at least one of those
                -- that a shown token holds. What is absent compares as null and refuses nothing.
                when not string_to_array(asked.demand ->> 'scope', ' ') <@ key.capabilities
                    or not string_to_array(asked.demand ->> 'held', ' ') && key.capabilities
                    then 'invalid_scope'
            end) as refusal,
            coalesce(key.per_minute, key_tier.key_per_minute) as key_per_minute,
            coalesce(key.per_day, key_tier.key_per_day) as key_per_day,
            coalesce(account.per_minute, account_tier.account_per_minute) as account_per_minute,
            coalesce(account.per_day, account_tier.account_per_day) as account_per_day,
            key_window.minute as key_minute, key_window.minute_count as key_minute_count,
            key_window.day as key_day, key_window.day_count as key_day_count,
            account_window.minute as account_minute,
            account_window.minute_count as account_minute_count,
            account_window.day as account_day, account_window.day_count as account_day_count,
            row_number() over (partition by key.window_id, key.id order by asked.question) = 1
                as is_first_of_key
        from (
                select found.question, found.key_id, counts[found.question] as requests,
                    claimed_key_ids[found.question] as claimed_key_id,
                    parsed_demands[found.question] as demand
                from unnest(found_questions, found_key_ids) as found (question, key_id)
            ) as asked
            join api_key as key on key.id = asked.key_id and key.deleted_at is null
            join api_key_window as key_window on key_window.key_id = key.window_id
            join account on account.id = key.account_id
            join account_window on account_window.account_id = account.id
            join tier as account_tier on account_tier.name = account.tier
            join tier as key_tier on key_tier.name = coalesce(key.tier, account.tier)
    ),

    -- wanted: the windows that count now, and how many tokens all questions of a key want. A
    -- refused question wants none. Nor does one that comes within the second of a watermark: a
    -- token of that second would already be revoked, so the client is told to come a second later.
    wanted as (
        select judged.*,
            window_start(judged.key_minute, present_minute, '1 minute') as key_minute_start,
            window_start(judged.key_day, present_day, '1 day') as key_day_start,
            window_start(judged.account_minute, present_minute, '1 minute')
                as account_minute_start,
            window_start(judged.account_day, present_day, '1 day') as account_day_start,
            sum(
                case
                    when judged.refusal is null and (
                        judged.watermark is null
                        or date_trunc('second', judged.watermark) < date_trunc('second', present)
                    )
                    then judged.requests
                    else 0
                end
            ) over (partition by judged.window_id, judged.key_id) as wanted
        from judged
    ),

    -- remaining: what is left of each limit before this batch. The count of a window that is over
    -- does not matter any more. What is left is below zero if a limit was lowered.
    remaining as (
        select wanted.*,
            wanted.key_per_minute - case
                when wanted.key_minute = wanted.key_minute_start then wanted.key_minute_count
                else 0
            end as key_minute_left,
            wanted.key_per_day - case
                when wanted.key_day = wanted.key_day_start then wanted.key_day_count
                else 0
            end as key_day_left,
            wanted.account_per_minute - case
                when wanted.account_minute = wanted.account_minute_start
                then wanted.account_minute_count
                else 0
            end as account_minute_left,
            wanted.account_per_day - case
                when wanted.account_day = wanted.account_day_start then wanted.account_day_count
                else 0
            end as account_day_left
        from wanted
    ),

    -- within_key: what a key gets by its own limits, min(wanted, left). It stands in the key's
    -- first row alone, so that sums over rows count each key once.
    within_key as (
        select remaining.*,
            case
                when remaining.is_first_of_key then greatest(
                    0, least(remaining.wanted, remaining.key_minute_left, remaining.key_day_left)
                )
                else 0
            end as within_key
        from remaining
    ),

    -- within_window: what the key gets of the window that it may have with others, in the order of
    -- their ids. A key gets at most what those before it leave: its own rest, less their sum.
    within_window as (
        select within_key.*,
            greatest(0, least(
                within_key.within_key,
                least(within_key.key_minute_left, within_key.key_day_left) - (
                    sum(within_key.within_key) over (
                        partition by within_key.window_id
                        order by within_key.key_id, within_key.question
                    )
                    - within_key.within_key
                )
            )) as within_window
        from within_key
    ),

    -- shared: what the key gets of its account, by the same rule. The keys of an account share in
    -- the order of their questions.
    shared as (
        select within_window.*,
            greatest(0, least(
                within_window.within_window,
                least(within_window.account_minute_left, within_window.account_day_left) - (
                    sum(within_window.within_window) over (
                        partition by within_window.account_id order by within_window.question
                    )
                    - within_window.within_window
                )
            )) as share
        from within_window
    ),

    -- granted: the share of a key in each of its rows, and what its window and its account give in
    -- all.
    granted as materialized (
        select shared.*,
            (max(shared.share) over (partition by shared.window_id, shared.key_id))::int
                as admitted,
            (sum(shared.share) over (partition by shared.window_id))::int as window_admitted,
            row_number() over (partition by shared.window_id) = 1 as is_first_of_window,
            (sum(shared.share) over (partition by shared.account_id))::int as account_admitted,
            row_number() over (partition by shared.account_id) = 1 as is_first_of_account
        from shared
    ),

    -- The counts are written once per window and once per account. A new count is the limit, less
    -- what was left of it, and what is admitted now. The latest `iat` is kept, because the clock
    -- may be set back: a watermark must not lie before tokens that were issued already.
    counted_keys as (
        update api_key_window
        set minute = granted.key_minute_start,
            minute_count = granted.key_per_minute - granted.key_minute_left
                + granted.window_admitted,
            day = granted.key_day_start,
            day_count = granted.key_per_day - granted.key_day_left + granted.window_admitted,
            latest_iat = greatest(api_key_window.latest_iat, present)
        from granted
        where api_key_window.key_id = granted.window_id
            and granted.is_first_of_window and granted.window_admitted > 0
    ),
    counted_accounts as (
        update account_window
        set minute = granted.account_minute_start,
            minute_count = granted.account_per_minute - granted.account_minute_left
                + granted.account_admitted,
            day = granted.account_day_start,
            day_count = granted.account_per_day - granted.account_day_left
                + granted.account_admitted,
            latest_iat = greatest(account_window.latest_iat, present)
        from granted
        where account_window.account_id = granted.account_id
            and granted.is_first_of_account and granted.account_admitted > 0
    )

    select granted.question, granted.key_id, granted.account_id, granted.capabilities,
        granted.refusal, granted.audiences, granted.claims, granted.watermark, present,
        case
            when greatest(granted.key_minute_start, granted.account_minute_start) > present_minute
                or greatest(granted.key_day_start, granted.account_day_start) > present_day
                then array[
                    granted.key_minute_start, granted.key_day_start,
                    granted.account_minute_start, granted.account_day_start
                ]
        end,
        granted.admitted,
        granted.key_per_minute, granted.key_per_day,
        granted.account_per_minute, granted.account_per_day,
        granted.key_minute_left - granted.window_admitted,
        granted.key_day_left - granted.window_admitted,
        granted.account_minute_left - granted.account_admitted,
        granted.account_day_left - granted.account_admitted
    from granted;

    -- A question without a row has no key. That is true only if all rows are there. Whether a token
    -- that is shown was revoked is true only if the denylist is there. It is asked afterwards: the
    -- tables have been read, so they stay locked, and no restore can make their keys meanwhile.
    get diagnostics judged_questions = row_count;
    if (judged_questions < cardinality(counts) or shows_token) and not database_is_whole() then
        raise exception 'the database is not restored as a whole' using errcode = 'TS002';
    end if;
end $$;
