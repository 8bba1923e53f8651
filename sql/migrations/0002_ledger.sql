-- migrate:up

-- Limits, what has been counted against them, and the one function that decides and counts exchanges.

-- Named sets of limits. An account has one; its keys are held to the same, unless a key names another.
create table tier (
    name text not null,
    description text not null,
    key_per_minute int not null,
    key_per_day int not null,
    account_per_minute int not null,
    account_per_day int not null,
    created_at timestamptz not null,
    constraint tier_pkey primary key (name),
    constraint tier_limits_positive check (least(key_per_minute, key_per_day, account_per_minute, account_per_day) > 0)
);
insert into tier (name, description, key_per_minute, key_per_day, account_per_minute, account_per_day, created_at)
values ('default', 'holds unless another tier is named', 60, 5000, 600, 50000, clock_timestamp());

-- Null: as the tier says.
alter table account
    add column tier text not null default 'default' constraint account_tier_fkey references tier (name),
    add column per_minute int constraint account_per_minute_positive check (per_minute > 0),
    add column per_day int constraint account_per_day_positive check (per_day > 0);
alter table api_key
    add column tier text constraint api_key_tier_fkey references tier (name),
    add column per_minute int constraint api_key_per_minute_positive check (per_minute > 0),
    add column per_day int constraint api_key_per_day_positive check (per_day > 0),
    drop column last_used_at;

-- What has been admitted in the present minute and day (UTC). Narrow rows apart from the things they belong to: they are rewritten all
-- the time. Whoever exchanges, or changes the state of a key or account, holds its row here first; accounts before keys, each in order.
create table account_window (
    account_id text not null,
    minute timestamptz not null default '-infinity',
    minute_count int not null default 0,
    day timestamptz not null default '-infinity',
    day_count int not null default 0,
    constraint account_window_pkey primary key (account_id),
    constraint account_window_account_fkey foreign key (account_id) references account (id)
) with (fillfactor = 50);
create table api_key_window (
    key_id text not null,
    minute timestamptz not null default '-infinity',
    minute_count int not null default 0,
    day timestamptz not null default '-infinity',
    day_count int not null default 0,
    constraint api_key_window_pkey primary key (key_id),
    constraint api_key_window_key_fkey foreign key (key_id) references api_key (id)
) with (fillfactor = 50);
insert into account_window (account_id) select id from account;
insert into api_key_window (key_id) select id from api_key;

create index denylist_value_idx on denylist (value, kind);

-- Per key and hour: how many exchanges ended how. Written in batches, some seconds late, outside the exchange.
create table api_key_usage (
    key_id text not null,
    hour timestamptz not null,
    outcome text not null,
    count bigint not null,
    constraint api_key_usage_pkey primary key (key_id, hour, outcome)
);
create index api_key_usage_hour_idx on api_key_usage (hour);
create table api_key_last_use (
    key_id text not null,
    at timestamptz not null,
    network text not null,                      -- of the client: /24 or /48
    audience text not null,
    constraint api_key_last_use_pkey primary key (key_id)
) with (fillfactor = 50);

drop function judge_exchange(bytea, text, text[]);

-- When the window that we are in began. One that is just ahead of us (the clock was set back a little) is gone on with; one that is far
-- ahead was begun by a wrong clock.
create function window_start(since timestamptz, present timestamptz, length interval) returns timestamptz
language sql stable as $$
    select case when since >= present and since <= present + length then since else present end
$$;

-- Judges, admits and counts a batch of exchanges. An entry is a number of requests that are alike: the API key's digest, or 32 zero bytes and
-- a token to be narrowed; the key id that the client claims, if any; and demands that few have (scope, and what the token to be narrowed
-- says). All digests stand in one string, and what no entry has is left out as a whole: encoding arrays costs the caller time.
--
-- One statement per step on purpose, each with a snapshot of its own. Rows are locked first, accounts before keys, each in order, so
-- batches cannot deadlock. State and clock are read when all locks are held. A revocation takes its moment while it holds the same row:
-- nothing is issued after it, and whatever was issued before lies under its watermark.
--
-- Only requests that will get a token are counted. A key gets min(asked, left), an account's keys share what is left to it in the order of
-- entries. No row for an entry: unknown key.
create function judge_exchanges(p_digests bytea, p_counts int[], p_key_ids text[], p_demands text[])
returns table (
    entry int, key_id text, account_id text, capabilities text[], refusal text, watermark timestamptz, admitted int,
    key_per_minute int, key_per_day int, account_per_minute int, account_per_day int,
    key_minute_left int, key_day_left int, account_minute_left int, account_day_left int,
    at timestamptz
)
language plpgsql as $$
declare
    v_keys text[];
    v_accounts text[];
    t timestamptz;
    m timestamptz;
    d timestamptz;
begin
    select array_agg(k.id order by x.entry), array_agg(k.account_id) into v_keys, v_accounts
    from unnest(p_counts) with ordinality x (n, entry)
        left join api_key k on k.digest = substr(p_digests, 32 * x.entry::int - 31, 32);
    if p_demands is not null then
        select array_agg(coalesce(x.found, k.id) order by x.entry), v_accounts || array_agg(k.account_id) into v_keys, v_accounts
        from unnest(v_keys, p_key_ids) with ordinality x (found, claimed, entry)
            left join api_key k on k.id = x.claimed and substr(p_digests, 32 * x.entry::int - 31, 32) = decode(repeat('00', 32), 'hex');
    end if;
    perform from account_window w where w.account_id = any (v_accounts) order by w.account_id for no key update;
    perform from api_key_window w where w.key_id = any (v_keys) order by w.key_id for no key update;
    t := clock_timestamp();
    m := date_trunc('minute', t, 'UTC');
    d := date_trunc('day', t, 'UTC');
    return query
    with judged as materialized (
        select x.entry, x.n, k.id, k.account_id, k.capabilities, greatest(k.watermark, a.watermark) as watermark,
            case
                when k.revoked_at is not null or a.deleted_at is not null then 'revoked'
                when k.expires_at <= t then 'expired'
                when k.disabled_at is not null then 'disabled'
                when a.suspended_at is not null then 'suspended'
                when x.claimed <> k.id then 'wrong_client_id'
                when x.demand is null then null
                when x.demand ->> 'account_id' <> k.account_id
                    or (x.demand -> 'iat')::bigint <= extract(epoch from date_trunc('second', greatest(k.watermark, a.watermark)))
                    or exists (
                        select from denylist l where (l.value, l.kind) in ((x.demand ->> 'jti', 'jti'), (x.demand ->> 'kid', 'kid'))
                    )
                    then 'revoked'
                when (x.demand -> 'exp')::bigint <= extract(epoch from date_trunc('second', t)) then 'expired'
                when not string_to_array(x.demand ->> 'scope', ' ') <@ k.capabilities
                    or not string_to_array(x.demand ->> 'held', ' ') && k.capabilities
                    then 'invalid_scope'
            end as refusal,
            coalesce(k.per_minute, kt.key_per_minute) as kpm, coalesce(k.per_day, kt.key_per_day) as kpd,
            coalesce(a.per_minute, att.account_per_minute) as apm, coalesce(a.per_day, att.account_per_day) as apd,
            w.minute, w.minute_count, w.day, w.day_count, aw.minute as a_minute, aw.minute_count as a_minute_count, aw.day as a_day,
            aw.day_count as a_day_count, row_number() over (partition by k.id order by x.entry) = 1 as is_first
        from unnest(v_keys, p_counts, p_key_ids, p_demands::jsonb[]) with ordinality x (found, n, claimed, demand, entry)
            join api_key k on k.id = x.found and k.deleted_at is null
            join api_key_window w on w.key_id = k.id
            join account a on a.id = k.account_id
            join account_window aw on aw.account_id = a.id
            join tier att on att.name = a.tier
            join tier kt on kt.name = coalesce(k.tier, a.tier)
    ), counted as (
        select j.*,
            window_start(j.minute, m, '1 minute') as km, window_start(j.day, d, '1 day') as kd,
            window_start(j.a_minute, m, '1 minute') as am, window_start(j.a_day, d, '1 day') as ad,
            sum(case when j.refusal is null and (j.watermark is null or date_trunc('second', j.watermark) < date_trunc('second', t))
                then j.n else 0 end) over (partition by j.id) as asked
        from judged j
    ), standing as (
        select c.*,
            c.kpm - case when c.minute = c.km then c.minute_count else 0 end as kml,
            c.kpd - case when c.day = c.kd then c.day_count else 0 end as kdl,
            c.apm - case when c.a_minute = c.am then c.a_minute_count else 0 end as aml,
            c.apd - case when c.a_day = c.ad then c.a_day_count else 0 end as adl
        from counted c
    ), wishes as (
        select s.*, case when s.is_first then greatest(0, least(s.asked, s.kml, s.kdl)) else 0 end as wish from standing s
    ), shares as (
        select w.*,
            greatest(0, least(w.wish, least(w.aml, w.adl) - (sum(w.wish) over (partition by w.account_id order by w.entry) - w.wish)))
                as share
        from wishes w
    ), granted as materialized (
        select s.*,
            (max(s.share) over (partition by s.id))::int as adm,
            (sum(s.share) over (partition by s.account_id))::int as account_adm,
            row_number() over (partition by s.account_id) = 1 as is_account
        from shares s
    ), count_keys as (
        update api_key_window w set minute = g.km, minute_count = g.kpm - g.kml + g.adm, day = g.kd, day_count = g.kpd - g.kdl + g.adm
        from granted g where w.key_id = g.id and g.is_first and g.adm > 0
    ), count_accounts as (
        update account_window w
        set minute = g.am, minute_count = g.apm - g.aml + g.account_adm, day = g.ad, day_count = g.apd - g.adl + g.account_adm
        from granted g where w.account_id = g.account_id and g.is_account and g.account_adm > 0
    )
    select g.entry::int, g.id, g.account_id, g.capabilities, g.refusal, g.watermark, g.adm, g.kpm, g.kpd, g.apm, g.apd,
        g.kml - g.adm, g.kdl - g.adm, g.aml - g.account_adm, g.adl - g.account_adm, t
    from granted g;
end $$;
