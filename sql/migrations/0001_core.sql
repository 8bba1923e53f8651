-- migrate:up

-- Rows hold facts with their times; states (active, retiring, expired ...) are computed from (row, now) and never stored.

create table account (
    id text not null,
    name text not null,
    created_at timestamptz not null,
    suspended_at timestamptz,
    deleted_at timestamptz,
    watermark timestamptz,                   -- watermark: tokens issued up to here are dead
    constraint account_pkey primary key (id),
    constraint account_id_form check (id ~ '^acct_[0-9A-Za-z]{16}$'),
    constraint account_name_length check (length(name) between 1 and 200)
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
    token_life interval,                        -- null: the default of the settings
    created_at timestamptz not null,
    constraint audience_pkey primary key (name),
    constraint audience_token_life_positive check (token_life > interval '0')
);

create table api_key (
    id text not null,
    account_id text not null,
    digest bytea not null,                      -- SHA-256; the key itself is stored nowhere
    hint text not null,
    name text not null,
    description text not null,
    capabilities text[] not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    disabled_at timestamptz,
    revoked_at timestamptz,
    deleted_at timestamptz,
    last_used_at timestamptz,
    watermark timestamptz,                   -- watermark, as above
    predecessor_id text,                        -- the key that this one took over from
    constraint api_key_pkey primary key (id),
    constraint api_key_account_fkey foreign key (account_id) references account (id),
    constraint api_key_predecessor_fkey foreign key (predecessor_id) references api_key (id),
    constraint api_key_digest_unique unique (digest),
    constraint api_key_predecessor_unique unique (predecessor_id),      -- a double click makes one successor
    constraint api_key_id_form check (id ~ '^key_[0-9A-Za-z]{16}$'),
    constraint api_key_digest_length check (length(digest) = 32),
    constraint api_key_some_capability check (cardinality(capabilities) > 0)
);
create index api_key_account_idx on api_key (account_id);

create table signing_key (
    kid text not null,
    alg text not null,
    public_jwk jsonb not null,
    sealed_private_key bytea not null,
    created_at timestamptz not null,
    active_at timestamptz,                      -- null: the standby
    revoked_at timestamptz,
    constraint signing_key_pkey primary key (kid),
    constraint signing_key_alg_known check (alg in ('ES256', 'EdDSA', 'RS256'))
);

-- Append only. `seq` comes from feed_head in the statement that inserts, so it is gapless in the order of commits: an identity
-- column loses the rows of slow transactions to readers that have already gone past them.
create table denylist (
    seq bigint not null,
    tag text not null,                          -- random: a number that is given out again never has the same tag
    kind text not null,
    value text not null,
    watermark timestamptz,                      -- of a key or account
    created_at timestamptz not null,
    expires_at timestamptz not null,            -- last token covered has expired by then, and 120 s more
    ending text not null,
    healed boolean not null,
    constraint denylist_pkey primary key (seq),
    constraint denylist_kind_known check (kind in ('jti', 'key', 'account', 'kid')),
    constraint denylist_ending_known check (ending in (
        'token_revoked', 'signing_key_revoked', 'key_tokens_revoked', 'key_disabled', 'key_revoked', 'key_deleted',
        'account_tokens_revoked', 'account_suspended', 'account_deleted'
    )),
    constraint denylist_watermark check ((kind in ('key', 'account')) = (watermark is not null))
);
create index denylist_expires_idx on denylist (expires_at);

-- One row per thing that every process keeps a copy of. A change bumps (seq, tag) and wakes the listeners; whoever polls compares.
create table feed_head (
    topic text not null,
    seq bigint not null,
    tag text not null,
    constraint feed_head_pkey primary key (topic),
    constraint feed_head_topic_known check (topic in ('denylist', 'signing_key', 'audience'))
);
insert into feed_head (topic, seq, tag)
select topic, 0, substr(md5(gen_random_uuid()::text), 1, 16) from unnest(array['denylist', 'signing_key', 'audience']) topic;

-- The longest life that any token may have been given; only ever raised. Watermarks live that long, and 120 s more.
create table issuance (
    longest_life interval not null,
    only_row boolean not null default true,
    constraint issuance_pkey primary key (only_row),
    constraint issuance_only_row check (only_row)
);
insert into issuance (longest_life) values ('0');

create table audit_event (
    id bigint generated always as identity,
    at timestamptz not null,
    actor text not null,
    action text not null,
    subject text not null,
    detail jsonb not null,
    constraint audit_event_pkey primary key (id)
);
create index audit_event_subject_idx on audit_event (subject, id);

-- What Postgres says of a credential, found by the digest of an API key or (for a narrower token) by key id and token id.
-- Two steps on purpose. The rows are locked first (share: exchanges of one key do not wait for each other); state and clock are
-- read after that, from the locked row versions. A revocation takes its moment while it holds the same row, so no token can be
-- issued after it, and every token issued before lies under its watermark. Order of locks everywhere: key, then account.
create function judge_exchange(p_digest bytea, p_key_id text, p_jtis text[])
returns table (
    key_id text, account_id text, capabilities text[], refusal text, watermark timestamptz, at timestamptz
)
language plpgsql as $$
declare
    k api_key;
    a account;
    t timestamptz;
    denied boolean := false;
begin
    if p_digest is not null then
        select * into k from api_key where digest = p_digest and deleted_at is null for share;
    else
        select * into k from api_key where id = p_key_id and deleted_at is null for share;
    end if;
    if not found then
        return;
    end if;
    select * into a from account where id = k.account_id for share;
    if cardinality(p_jtis) > 0 then
        denied := exists (select from denylist d where d.kind = 'jti' and d.value = any (p_jtis));
    end if;
    t := clock_timestamp();
    return query select
        k.id, k.account_id, k.capabilities,
        case
            when k.revoked_at is not null or a.deleted_at is not null or denied then 'revoked'
            when k.expires_at <= t then 'expired'
            when k.disabled_at is not null then 'disabled'
            when a.suspended_at is not null then 'suspended'
        end,
        greatest(k.watermark, a.watermark), t;
end $$;
