-- The present schema, on one page, for reading. It is never run on a database of the service: the
-- migrations make what stands here, and a test holds that both make the same.
--
-- A row holds facts with their times. A state (active, retiring, expired ...) is computed from the
-- row and the clock and never stored. All times are Postgres's clock.

-- Whose API keys they are, and what they may do -------------------------------------------------

-- Named sets of limits: how many tokens in a minute and in a day (UTC). An account has a tier; its
-- keys have the same one, unless a key names another.
create table tier (
    name text not null,
    description text not null,
    key_per_minute int not null,
    key_per_day int not null,
    account_per_minute int not null,            -- all keys of the account together
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

-- Owners of API keys. A deleted account stays as a row, for the audit trail.
create table account (
    id text not null,
    name text not null,
    created_at timestamptz not null,
    suspended_at timestamptz,
    deleted_at timestamptz,
    watermark timestamptz,                      -- tokens issued up to here are revoked
    tier text not null default 'default',
    per_minute int,                             -- null: what the tier says
    per_day int,
    constraint account_pkey primary key (id),
    constraint account_tier_fkey foreign key (tier) references tier (name),
    constraint account_id_form check (id ~ '^acct_[0-9A-Za-z]{16}$'),
    constraint account_name_length check (length(name) between 1 and 200),
    constraint account_per_minute_positive check (per_minute > 0),
    constraint account_per_day_positive check (per_day > 0)
);

-- The names that may stand in the scope of a token.
create table capability (
    name text not null,
    description text not null,
    created_at timestamptz not null,
    constraint capability_pkey primary key (name)
);
-- Those of the service itself.
insert into capability (name, description, created_at)
values
    ('tokensvc:admin', 'May do everything', clock_timestamp()),
    ('tokensvc:read', 'May read everything, and change nothing', clock_timestamp()),
    (
        'tokensvc:keys', 'May manage the keys of its own account, and who is told of them',
        clock_timestamp()
    ),
    ('tokensvc:introspect', 'May ask whether a token is live, and what it says', clock_timestamp()),
    (
        'tokensvc:denylist', 'May follow the denylist where that is not open to everybody',
        clock_timestamp()
    );

-- The services that tokens are for.
create table audience (
    name text not null,
    description text not null,
    token_life interval,                        -- null: the default of the settings
    created_at timestamptz not null,
    alg text not null default 'ES256',          -- signs the tokens of this audience
    is_own boolean not null default false,      -- made by the start, for calls to the service
    typ text not null default 'at+jwt',         -- in the header of its tokens
    constraint audience_pkey primary key (name),
    constraint audience_token_life_positive check (token_life > interval '0'),
    constraint audience_alg_known check (alg in ('ES256', 'EdDSA', 'RS256')),
    constraint audience_typ_known check (typ = 'at+jwt' or (typ = 'JWT' and not is_own))
);

-- API keys. The key itself is stored nowhere.
-- load: functions/names_only_own_capabilities.sql
create table api_key (
    id text not null,
    account_id text not null,
    digest bytea not null,                      -- SHA-256 of the key
    hint text not null,                         -- its prefix and its last four characters
    name text not null,
    description text not null,
    capabilities text[] not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    disabled_at timestamptz,                    -- may be taken back
    revoked_at timestamptz,                     -- is final
    deleted_at timestamptz,                     -- shown nowhere any more
    watermark timestamptz,                      -- tokens issued up to here are revoked
    predecessor_id text,                        -- the key that this one took over from
    tier text,                                  -- null: the tier of the account
    per_minute int,                             -- null: what the tier says
    per_day int,
    audiences text[] not null default '{}',     -- what its tokens may be for; none: everything
    networks cidr[] not null default '{}',      -- where it may be used; none: everywhere
    metadata jsonb not null default '{}',       -- notes of the owner; they enter no token
    claims jsonb not null default '{}',         -- stand in each of its tokens
    self_rotation boolean not null default true,  -- whether the key may rotate itself
    -- The first key of a chain of rotations: all are counted in its row of api_key_window.
    window_id text not null,
    made_by_predecessor boolean not null default false,  -- which has rotated itself
    enabled_at timestamptz,                     -- the last time, after it was disabled
    -- What every exchange asks is stored: whether a request must name its scope, whether the key
    -- may not be used for everything and from everywhere, and its claims as text, null if none.
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
    -- A key is rotated once: two requests at the same moment make one successor.
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
create index api_key_expires_idx on api_key (expires_at, id) where expires_at is not null;
create index api_key_capabilities_idx on api_key using gin (capabilities);
create index api_key_metadata_idx on api_key using gin (metadata jsonb_path_ops);
-- A part of a name or hint is found by an index where pg_trgm can be had. A database that has not
-- got it, or does not let us make it, does without: the list is then read through.
do $$
begin
    create extension if not exists pg_trgm;
    create index api_key_text_idx on api_key using gin ((name || ' ' || hint) gin_trgm_ops);
exception when others then
    raise notice 'pg_trgm cannot be had: %', sqlerrm;
end $$;

-- The ledger: it decides and counts every exchange ----------------------------------------------

-- How many tokens were admitted in the last minute and day (UTC) in which there were any. The rows
-- are narrow and apart from what they belong to, because every exchange writes them. They are also
-- what is locked: by each exchange, and before each change to the state of a key or account, and
-- always accounts before keys, each in the order of their ids. `latest_iat` is the latest `iat`
-- that was given out: Postgres's clock may step back, and a watermark never lies before a token
-- that was already issued.
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
-- load: functions/judge_exchanges_2.sql

-- How API keys are used -------------------------------------------------------------------------

-- These tables are written in batches, some seconds after the exchange.

-- How many exchanges of a key ended how, by the hour.
create table api_key_usage (
    key_id text not null,
    hour timestamptz not null,
    outcome text not null,
    count bigint not null,
    constraint api_key_usage_pkey primary key (key_id, hour, outcome)
);
create index api_key_usage_hour_idx on api_key_usage (hour);

-- The same of all keys of an account together.
create table account_usage (
    account_id text not null,
    hour timestamptz not null,
    outcome text not null,
    count bigint not null,
    constraint account_usage_pkey primary key (account_id, hour, outcome)
) with (fillfactor = 50);
create index account_usage_hour_idx on account_usage (hour);

-- The same of all accounts together.
create table exchange_count (
    hour timestamptz not null,
    outcome text not null,
    count bigint not null,
    constraint exchange_count_pkey primary key (hour, outcome)
) with (fillfactor = 50);

create table api_key_last_use (
    key_id text not null,
    at timestamptz not null,
    network text not null,                      -- of the client: a /24 or /48, never an address
    audience text not null,
    constraint api_key_last_use_pkey primary key (key_id)
) with (fillfactor = 50);

-- The keys that have not been used yet, so that lists find them without comparing all keys with all
-- last uses. Triggers keep it: a key is here from when it is made until its first use.
create table unused_api_key (
    key_id text not null,
    constraint unused_api_key_pkey primary key (key_id)
);

-- load: functions/note_unused_keys.sql
-- load: functions/forget_unused_key.sql

create trigger api_key_is_unused after insert on api_key
referencing new table as made
for each statement execute function note_unused_keys();
create trigger api_key_is_used after insert on api_key_last_use
for each row execute function forget_unused_key();

-- Where API keys were found that have leaked, as whoever found them tells. A key has 50 of these
-- places at most. They are texts of strangers: visible ASCII, and nothing else is sure about them.
create table key_leak (
    key_id text not null,
    url text not null,                          -- '' if it was not told
    source text not null,                       -- what kind of place that is, '' if not told
    reported_at timestamptz not null,
    constraint key_leak_pkey primary key (key_id, url, source),
    constraint key_leak_key_fkey foreign key (key_id) references api_key (id),
    constraint key_leak_length check (length(url) <= 1000 and length(source) <= 100)
);

-- The networks that a key was used from, as far as people are told apart: the latest 50 of it.
create table api_key_network (
    key_id text not null,
    network text not null,
    first_at timestamptz not null,
    last_at timestamptz not null,
    constraint api_key_network_pkey primary key (key_id, network)
);
create index api_key_network_last_idx on api_key_network (last_at);

-- Signing keys ----------------------------------------------------------------------------------

create table signing_key (
    kid text not null,                          -- the thumbprint of the public half (RFC 7638)
    alg text not null,
    public_jwk jsonb not null,
    sealed_private_key bytea not null,          -- opened by the master key
    created_at timestamptz not null,
    active_at timestamptz,                      -- when it begins to sign; null: the standby
    revoked_at timestamptz,
    constraint signing_key_pkey primary key (kid),
    constraint signing_key_alg_known check (alg in ('ES256', 'EdDSA', 'RS256'))
);

-- What is known of all tokens. Both are only ever raised.
create table issuance (
    longest_life interval not null,             -- a watermark stays so long, and 120 s more
    only_row boolean not null default true,
    iat_limit timestamptz not null default '-infinity',     -- no token has a later `iat`
    constraint issuance_pkey primary key (only_row),
    constraint issuance_only_row check (only_row)
);
insert into issuance (longest_life) values ('0');

-- Who this service is, as its starts say. Of two services on one database, whose tokens name
-- different issuers, each refuses those of the other one: so a start that differs is told.
create table service_identity (
    issuer text,                                -- null while it was only tried out, on loopback
    key_prefix text not null,
    only_row boolean not null default true,
    constraint service_identity_pkey primary key (only_row),
    constraint service_identity_only_row check (only_row)
);

-- What iat_limit was when the window rows may last have lost a `latest_iat`: no watermark lies
-- before it. Postgres empties an unlogged table in a crash, and a standby has it empty.
create unlogged table iat_floor (
    at timestamptz not null,
    run uuid not null default gen_random_uuid(),    -- tells processes that the row is another one
    only_row boolean not null default true,
    constraint iat_floor_pkey primary key (only_row),
    constraint iat_floor_only_row check (only_row)
);

-- load: functions/find_iat_floor.sql
-- load: functions/raise_iat_limit.sql
-- load: functions/raise_watermark.sql
create trigger account_watermark_is_raised before update of watermark on account
for each row when (new.watermark is distinct from old.watermark)
execute function raise_watermark();
create trigger api_key_watermark_is_raised before update of watermark on api_key
for each row when (new.watermark is distinct from old.watermark)
execute function raise_watermark();

-- Calls of operations --------------------------------------------------------------------------

-- How many operations were called with a key, or with its tokens, in the minute of the last call.
create table call_window (
    key_id text not null,
    minute timestamptz not null,
    count int not null,
    constraint call_window_pkey primary key (key_id)
) with (fillfactor = 50);

-- Requests that their senders have named (Idempotency-Key), kept for a day. A row and what the
-- request has created are committed together.
create table idempotent_request (
    key_id text not null,                       -- of the key that the sender has shown
    name text not null,
    fingerprint bytea not null,                 -- SHA-256 of what was asked
    at timestamptz not null,
    answer jsonb,                               -- without its secret
    sealed_secret bytea,                        -- for ten minutes; opened by the master key
    constraint idempotent_request_pkey primary key (key_id, name)
);
create index idempotent_request_at_idx on idempotent_request (at);

-- load: functions/count_call.sql

-- Revocations and who follows them --------------------------------------------------------------

-- The denylist. Rows are appended by append_revocations alone, never changed, and deleted when
-- they have expired. `seq` comes from feed_head, so it has no gaps in the order of commits. An
-- identity column would give numbers to transactions that commit later, and a reader who has
-- already gone past them would never see those rows.
create table denylist (
    seq bigint not null,
    tag text not null,                          -- random: after a failover `seq` is given out again
    kind text not null,
    value text not null,                        -- the token, key, account or signing key
    watermark timestamptz,                      -- of a key or account
    created_at timestamptz not null,
    expires_at timestamptz not null,            -- 120 s after the last token covered has expired
    ending text not null,                       -- what came to its end
    healed boolean not null,                    -- appended again after Postgres had lost it
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

-- What followers have applied, by the position that they ask after. A follower that shows a token
-- is known by its API key and its name. One that shows none has an empty key id, may call itself
-- whatever it likes, and completes no `--wait`. Written in batches; the rows of followers that fell
-- silent are deleted.
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

-- What every process keeps a copy of ------------------------------------------------------------

-- One row per thing that is copied. A change gives it a new (seq, tag) and wakes the processes that
-- listen; all compare it with their copy twice a second.
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

-- The audit trail -------------------------------------------------------------------------------

-- Who did what to what, written in the transaction of the act, by append_audit_events alone. The
-- numbers have no gaps in the order of commits. `hash` covers the row and the hash of the row
-- before.
create table audit_event (
    number bigint not null,
    at timestamptz not null,
    actor text not null,
    account_id text,                            -- of the actor, if it is an API key
    address_commitment bytea,                   -- SHA-256 of salt and address
    request_id text,
    operation text not null,
    subject text not null,
    detail jsonb not null,                      -- never holds a secret, nor a fraction
    hash bytea not null,
    constraint audit_event_pkey primary key (number)
);
create index audit_event_subject_idx on audit_event (subject, number);

-- Where actors were. It is no part of the chain, so that an address may end before its event.
create table audit_address (
    number bigint not null,                     -- of the event
    at timestamptz not null,
    address text not null,
    salt bytea not null,
    constraint audit_address_pkey primary key (number)
);
create index audit_address_at_idx on audit_address (at);

-- The newest event. `epoch` is random: another one tells that a restore was declared.
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

-- Where the trail begins after its oldest events were deleted: a signed statement about the hash of
-- the last of them.
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

-- Notices ---------------------------------------------------------------------------------------

-- Who is told of what: a receiver on the web, or a mailbox. `due_at` is when a process must look at
-- it again, null if nothing waits. A process that delivers leases the row until `leased_until`, so
-- that only one delivery of it is under way; if the process dies, another one goes on after that.
create table notice_endpoint (
    id text not null,
    account_id text,                            -- whose events; null: those of all
    url text not null,                          -- https://..., or mailto:...
    events text[] not null,                     -- their names; none: all of them
    description text not null,
    sealed_secret bytea,                        -- opened by the master key; null: a mailbox
    old_sealed_secret bytea,                    -- signs as well until old_secret_until
    old_secret_until timestamptz,
    created_at timestamptz not null,
    confirmed_at timestamptz,                   -- null: no notice is sent to it yet
    disabled_at timestamptz,
    disabled_because text,
    deleted_at timestamptz,                     -- the row ends some days later
    failing_since timestamptz,                  -- null if the last delivery succeeded
    failures int not null default 0,
    due_at timestamptz,
    leased_until timestamptz not null default '-infinity',
    is_contact boolean not null default false,  -- the mailbox that an account shows as its contact
    constraint notice_endpoint_pkey primary key (id),
    constraint notice_endpoint_account_fkey foreign key (account_id) references account (id),
    constraint notice_endpoint_id_form check (id ~ '^hook_[0-9A-Za-z]{16}$'),
    constraint notice_endpoint_disabled_because_known check (
        disabled_because in ('asked', 'failing', 'gone', 'unsubscribed')
    ),
    constraint notice_endpoint_disabled check (
        (disabled_at is null) = (disabled_because is null)
    ),
    constraint notice_endpoint_contact_is_mailbox check (
        not is_contact or (account_id is not null and sealed_secret is null)
    )
) with (fillfactor = 70);
create unique index notice_endpoint_contact_unique on notice_endpoint (account_id)
where is_contact and deleted_at is null;
create index notice_endpoint_account_idx on notice_endpoint (account_id, created_at, id);
create index notice_endpoint_due_idx on notice_endpoint (due_at) where due_at is not null;

-- What somebody may want to know, written by append_notices alone. Acts are found in the audit
-- trail, behind notice_cursor; the rest is appended by who notices it.
create table notice_event (
    number bigint generated always as identity,
    id text not null,                           -- random: numbers are given out again after a loss
    at timestamptz not null,
    name text not null,
    account_id text,                            -- null: of the service itself
    subject text not null,
    subject_number bigint not null,             -- 1, 2, 3 ... of this subject
    detail jsonb not null,
    once text,                                  -- there is one event only of this text
    constraint notice_event_pkey primary key (number),
    constraint notice_event_once_unique unique (once)
);
create index notice_event_account_idx on notice_event (account_id, number);
create index notice_event_subject_idx on notice_event (subject, number);
create index notice_event_at_idx on notice_event (at);

-- The last number that was given to an event of a subject.
create table notice_number (
    subject text not null,
    number bigint not null,
    constraint notice_number_pkey primary key (subject)
) with (fillfactor = 50);

-- An event on its way to an endpoint. It was given up if there is neither a next attempt nor a
-- success.
create table notice_delivery (
    id bigint generated always as identity,
    event_number bigint not null,
    endpoint_id text not null,
    created_at timestamptz not null,
    next_at timestamptz,                        -- of the next attempt; null: no more
    attempts int not null default 0,
    tried_at timestamptz,
    status int,                                 -- of the last HTTP response
    error text,
    delivered_at timestamptz,
    constraint notice_delivery_pkey primary key (id),
    constraint notice_delivery_event_fkey foreign key (event_number)
        references notice_event (number) on delete cascade,
    constraint notice_delivery_endpoint_fkey foreign key (endpoint_id)
        references notice_endpoint (id) on delete cascade
) with (fillfactor = 70);
create index notice_delivery_waiting_idx on notice_delivery (endpoint_id, next_at)
where next_at is not null;
create index notice_delivery_endpoint_idx on notice_delivery (endpoint_id, id);
create index notice_delivery_event_idx on notice_delivery (event_number);

-- Up to which number the audit trail was searched for events, and when it was last checked which
-- keys expire, are idle, or are overdue.
create table notice_cursor (
    audit_number bigint not null,
    checked_at timestamptz not null default '-infinity',
    only_row boolean not null default true,
    constraint notice_cursor_pkey primary key (only_row),
    constraint notice_cursor_only_row check (only_row)
) with (fillfactor = 50);
insert into notice_cursor (audit_number) select number from audit_head;

-- load: functions/append_notices.sql

-- Views -----------------------------------------------------------------------------------------

-- A view holds a list of columns that several queries want. A query says `*` of such a view and of
-- nothing else. So a view that has landed never changes, like a function: a longer list is a new
-- view with a new name, and what the running service has prepared stays valid.

create view listed_account as
select account.id, account.name, account.created_at, account.suspended_at,
    account.tier, account.per_minute, account.per_day,
    coalesce(account.per_minute, tier.account_per_minute) as minute_limit,
    coalesce(account.per_day, tier.account_per_day) as day_limit
from account
    join tier on tier.name = account.tier
where account.deleted_at is null;

-- With the contact, which end_accounts does not know.
create view listed_account_2 as
select listed.id, listed.name, listed.created_at, listed.suspended_at,
    listed.tier, listed.per_minute, listed.per_day, listed.minute_limit, listed.day_limit,
    contact.id as contact_id, contact.url as contact_url,
    contact.confirmed_at as contact_confirmed_at
from listed_account as listed
    left join notice_endpoint as contact
        on contact.account_id = listed.id and contact.is_contact and contact.deleted_at is null;

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

-- With the type, which the release before does not know.
create view listed_audience_2 as
select name, description, token_life, alg, typ, created_at from audience;

create view listed_tier as
select name, description, key_per_minute, key_per_day, account_per_minute, account_per_day,
    created_at
from tier;

-- There is no index on `seq + 0`, so nobody who asks for a few things reads all of the list.
create view listed_revocation as
select seq + 0 as seq, tag, kind, value, watermark, created_at, expires_at, ending, healed
from denylist;

create view listed_audit_event as
select event.number, event.at, event.actor, event.account_id, audit_address.address,
    audit_address.salt as address_salt, event.address_commitment, event.request_id,
    event.operation, event.subject, event.detail, event.hash
from audit_event as event
    left join audit_address on audit_address.number = event.number;

create view listed_notice_endpoint as
select id, account_id, url, events, description, created_at, confirmed_at, disabled_at,
    disabled_because, failing_since, failures, old_secret_until
from notice_endpoint
where deleted_at is null;

create view listed_notice as
select number, id, at, name, account_id, subject, subject_number, detail from notice_event;

create view listed_notice_delivery as
select delivery.id, delivery.endpoint_id, endpoint.account_id, event.id as notice_id, event.name,
    event.subject, delivery.created_at, delivery.next_at, delivery.attempts, delivery.tried_at,
    delivery.status, delivery.error, delivery.delivered_at
from notice_delivery as delivery
    join notice_event as event on event.number = delivery.event_number
    join notice_endpoint as endpoint on endpoint.id = delivery.endpoint_id
where endpoint.deleted_at is null;

-- Acts ------------------------------------------------------------------------------------------

-- What ends keys, accounts and tokens. Each act is one statement in a transaction of its own: it
-- locks the window rows, reads the clock, changes the state, appends the audit row, wakes the
-- processes, and appends the revocation. No lock of it waits for a round trip.

-- load: functions/append_audit_events.sql
revoke execute on function append_audit_events from public;
-- load: functions/append_events_of_caller.sql
-- load: functions/check_caller_stands.sql
-- load: functions/declare_audit_reset.sql
-- load: functions/grant_service_rights.sql
-- load: functions/append_revocations.sql
-- load: functions/prove_durable.sql
-- load: functions/end_keys.sql
-- load: functions/end_accounts.sql
-- load: functions/revoke_tokens.sql
-- load: functions/revoke_token_by_id.sql
-- load: functions/revoke_token_by_id_2.sql
-- load: functions/heal_revocations.sql
-- load: functions/report_leaks.sql
