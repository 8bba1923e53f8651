-- migrate:up

-- The schema of the first release. What each table is for stands in sql/schema.sql.

create table tier (
    name text not null,
    description text not null,
    key_per_minute int not null,
    key_per_day int not null,
    account_per_minute int not null,
    account_per_day int not null,
    created_at timestamptz not null,
    constraint tier_pkey primary key (name),
    constraint tier_limits_positive check (
        least(key_per_minute, key_per_day, account_per_minute, account_per_day) > 0
    )
);
insert into tier (
    name, description, key_per_minute, key_per_day, account_per_minute, account_per_day, created_at
)
values (
    'default', 'holds unless another tier is named', 60, 5000, 600, 50000, clock_timestamp()
);

create table account (
    id text not null,
    name text not null,
    created_at timestamptz not null,
    suspended_at timestamptz,
    deleted_at timestamptz,
    watermark timestamptz,
    tier text not null default 'default',
    per_minute int,
    per_day int,
    constraint account_pkey primary key (id),
    constraint account_tier_fkey foreign key (tier) references tier (name),
    constraint account_id_form check (id ~ '^acct_[0-9A-Za-z]{16}$'),
    constraint account_name_length check (length(name) between 1 and 200),
    constraint account_per_minute_positive check (per_minute > 0),
    constraint account_per_day_positive check (per_day > 0)
);

create table capability (
    name text not null,
    description text not null,
    created_at timestamptz not null,
    constraint capability_pkey primary key (name)
);

create table audience (
    name text not null,
    description text not null,
    token_life interval,
    created_at timestamptz not null,
    alg text not null default 'ES256',
    is_own boolean not null default false,
    constraint audience_pkey primary key (name),
    constraint audience_token_life_positive check (token_life > interval '0'),
    constraint audience_alg_known check (alg in ('ES256', 'EdDSA', 'RS256'))
);

-- load: functions/names_only_own_capabilities.sql

create table api_key (
    id text not null,
    account_id text not null,
    digest bytea not null,
    hint text not null,
    name text not null,
    description text not null,
    capabilities text[] not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    disabled_at timestamptz,
    revoked_at timestamptz,
    deleted_at timestamptz,
    watermark timestamptz,
    predecessor_id text,
    tier text,
    per_minute int,
    per_day int,
    audiences text[] not null default '{}',
    networks cidr[] not null default '{}',
    metadata jsonb not null default '{}',
    claims jsonb not null default '{}',
    self_rotation boolean not null default true,
    window_id text not null,
    made_by_predecessor boolean not null default false,
    enabled_at timestamptz,
    names_only_own_capabilities boolean
        generated always as (names_only_own_capabilities(capabilities)) stored,
    is_restricted boolean
        generated always as (cardinality(audiences) > 0 or cardinality(networks) > 0) stored,
    claims_text text generated always as (nullif(claims, '{}')::text) stored,
    constraint api_key_pkey primary key (id),
    constraint api_key_account_fkey foreign key (account_id) references account (id),
    constraint api_key_tier_fkey foreign key (tier) references tier (name),
    constraint api_key_predecessor_fkey foreign key (predecessor_id) references api_key (id),
    constraint api_key_window_fkey foreign key (window_id) references api_key (id),
    constraint api_key_digest_unique unique (digest),
    constraint api_key_predecessor_unique unique (predecessor_id),
    constraint api_key_id_form check (id ~ '^key_[0-9A-Za-z]{16}$'),
    constraint api_key_digest_length check (length(digest) = 32),
    constraint api_key_some_capability check (cardinality(capabilities) > 0),
    constraint api_key_some_predecessor check (
        predecessor_id is not null or (window_id = id and not made_by_predecessor)
    ),
    constraint api_key_per_minute_positive check (per_minute > 0),
    constraint api_key_per_day_positive check (per_day > 0)
);
create index api_key_account_idx on api_key (account_id, created_at, id);
create index api_key_created_idx on api_key (created_at, id);
create index api_key_capabilities_idx on api_key using gin (capabilities);
create index api_key_metadata_idx on api_key using gin (metadata jsonb_path_ops);
do $$
begin
    create extension if not exists pg_trgm;
    create index api_key_text_idx on api_key using gin ((name || ' ' || hint) gin_trgm_ops);
exception when others then
    raise notice 'pg_trgm cannot be had: %', sqlerrm;
end $$;

create table account_window (
    account_id text not null,
    minute timestamptz not null default '-infinity',
    minute_count int not null default 0,
    day timestamptz not null default '-infinity',
    day_count int not null default 0,
    latest_iat timestamptz not null default '-infinity',
    constraint account_window_pkey primary key (account_id),
    constraint account_window_account_fkey foreign key (account_id) references account (id)
) with (fillfactor = 50);

create table api_key_window (
    key_id text not null,
    minute timestamptz not null default '-infinity',
    minute_count int not null default 0,
    day timestamptz not null default '-infinity',
    day_count int not null default 0,
    latest_iat timestamptz not null default '-infinity',
    constraint api_key_window_pkey primary key (key_id),
    constraint api_key_window_key_fkey foreign key (key_id) references api_key (id)
) with (fillfactor = 50);

-- load: functions/database_is_whole.sql
-- load: functions/window_start.sql
-- load: functions/judge_client.sql
-- load: functions/judge_exchanges.sql

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
    network text not null,
    audience text not null,
    constraint api_key_last_use_pkey primary key (key_id)
) with (fillfactor = 50);

create table signing_key (
    kid text not null,
    alg text not null,
    public_jwk jsonb not null,
    sealed_private_key bytea not null,
    created_at timestamptz not null,
    active_at timestamptz,
    revoked_at timestamptz,
    constraint signing_key_pkey primary key (kid),
    constraint signing_key_alg_known check (alg in ('ES256', 'EdDSA', 'RS256'))
);

create table issuance (
    longest_life interval not null,
    only_row boolean not null default true,
    constraint issuance_pkey primary key (only_row),
    constraint issuance_only_row check (only_row)
);
insert into issuance (longest_life) values ('0');

create table call_window (
    key_id text not null,
    minute timestamptz not null,
    count int not null,
    constraint call_window_pkey primary key (key_id)
) with (fillfactor = 50);

create table idempotent_request (
    key_id text not null,
    name text not null,
    fingerprint bytea not null,
    at timestamptz not null,
    answer jsonb,
    sealed_secret bytea,
    constraint idempotent_request_pkey primary key (key_id, name)
);
create index idempotent_request_at_idx on idempotent_request (at);

-- load: functions/count_call.sql

create table denylist (
    seq bigint not null,
    tag text not null,
    kind text not null,
    value text not null,
    watermark timestamptz,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    ending text not null,
    healed boolean not null,
    constraint denylist_pkey primary key (seq),
    constraint denylist_kind_known check (kind in ('jti', 'key', 'account', 'kid')),
    constraint denylist_ending_known check (ending in (
        'token_revoked', 'signing_key_revoked',
        'key_tokens_revoked', 'key_disabled', 'key_revoked', 'key_deleted',
        'account_tokens_revoked', 'account_suspended', 'account_deleted'
    )),
    constraint denylist_watermark check ((kind in ('key', 'account')) = (watermark is not null))
);
create index denylist_expires_idx on denylist (expires_at);
create index denylist_value_idx on denylist (value, kind);

create table follower (
    key_id text not null,                       -- of the API key that proves the name, or ''
    name text not null,
    seq bigint not null,
    tag text not null,
    seen_at timestamptz not null,
    constraint follower_pkey primary key (key_id, name),
    constraint follower_name_length check (length(name) between 1 and 200)
) with (fillfactor = 50);
create index follower_seen_idx on follower (seen_at);

create table feed_head (
    topic text not null,
    seq bigint not null,
    tag text not null,
    constraint feed_head_pkey primary key (topic),
    constraint feed_head_topic_known check (topic in ('denylist', 'signing_key', 'audience'))
);
insert into feed_head (topic, seq, tag)
select topic, 0, substr(md5(gen_random_uuid()::text), 1, 16)
from unnest(array['denylist', 'signing_key', 'audience']) as topic;

create table audit_event (
    number bigint not null,
    at timestamptz not null,
    actor text not null,
    account_id text,
    address_commitment bytea,
    request_id text,
    operation text not null,
    subject text not null,
    detail jsonb not null,
    hash bytea not null,
    constraint audit_event_pkey primary key (number)
);
create index audit_event_subject_idx on audit_event (subject, number);

create table audit_address (
    number bigint not null,
    at timestamptz not null,
    address text not null,
    salt bytea not null,
    constraint audit_address_pkey primary key (number)
);
create index audit_address_at_idx on audit_address (at);

create table audit_head (
    number bigint not null,
    hash bytea not null,
    epoch text not null,
    only_row boolean not null default true,
    constraint audit_head_pkey primary key (only_row),
    constraint audit_head_only_row check (only_row)
) with (fillfactor = 50);
insert into audit_head (number, hash, epoch)
values (0, sha256(''), replace(gen_random_uuid()::text, '-', ''));

create table audit_checkpoint (
    number bigint not null,
    at timestamptz not null,
    jws text not null,
    constraint audit_checkpoint_pkey primary key (number)
);

-- load: functions/refuse_audit_change.sql
-- load: functions/refuse_audit_step_back.sql
create trigger audit_event_is_kept before update or delete on audit_event
for each row execute function refuse_audit_change();
create trigger audit_event_is_not_truncated before truncate on audit_event
for each statement execute function refuse_audit_change();
create trigger audit_checkpoint_is_kept before update or delete or truncate on audit_checkpoint
for each statement execute function refuse_audit_change();
create trigger audit_head_goes_on before update on audit_head
for each row execute function refuse_audit_step_back();
create trigger audit_head_is_kept before delete or truncate on audit_head
for each statement execute function refuse_audit_change();

create view listed_account as
select account.id, account.name, account.created_at, account.suspended_at,
    account.tier, account.per_minute, account.per_day,
    coalesce(account.per_minute, tier.account_per_minute) as minute_limit,
    coalesce(account.per_day, tier.account_per_day) as day_limit
from account
    join tier on tier.name = account.tier
where account.deleted_at is null;

create view listed_api_key as
select key.id, key.account_id, key.hint, key.name, key.description, key.capabilities,
    key.created_at, key.expires_at, key.disabled_at, key.revoked_at,
    key.predecessor_id, successor.id as successor_id,
    api_key_last_use.at as last_used_at, api_key_last_use.network as last_used_network,
    api_key_last_use.audience as last_used_audience,
    key.tier, key.per_minute, key.per_day,
    coalesce(key.per_minute, tier.key_per_minute) as minute_limit,
    coalesce(key.per_day, tier.key_per_day) as day_limit,
    key.audiences, key.networks::text[] as networks, key.metadata, key.claims, key.self_rotation,
    key.made_by_predecessor
from api_key as key
    join account on account.id = key.account_id
    join tier on tier.name = coalesce(key.tier, account.tier)
    left join api_key as successor on successor.predecessor_id = key.id
    left join api_key_last_use on api_key_last_use.key_id = key.id
where key.deleted_at is null and account.deleted_at is null;

create view listed_audience as
select name, description, token_life, alg, created_at from audience;

create view listed_tier as
select name, description, key_per_minute, key_per_day, account_per_minute, account_per_day,
    created_at
from tier;

create view listed_revocation as
select seq, tag, kind, value, watermark, created_at, expires_at, ending, healed from denylist;

create view listed_audit_event as
select event.number, event.at, event.actor, event.account_id, audit_address.address,
    audit_address.salt as address_salt, event.address_commitment, event.request_id,
    event.operation, event.subject, event.detail, event.hash
from audit_event as event
    left join audit_address on audit_address.number = event.number;

-- load: functions/append_audit_events.sql
revoke execute on function append_audit_events from public;
-- load: functions/declare_audit_reset.sql
-- load: functions/grant_service_rights.sql
-- load: functions/append_revocations.sql
-- load: functions/prove_durable.sql
-- load: functions/end_keys.sql
-- load: functions/end_accounts.sql
-- load: functions/revoke_tokens.sql
-- load: functions/revoke_token_by_id.sql
-- load: functions/heal_revocations.sql
