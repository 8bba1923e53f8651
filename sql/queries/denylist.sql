-- The denylist. Revocations append rows, the cleaner deletes expired ones, and no row is changed.

-- name: append(kind, value, watermark, expires_at, ending, healed)
-- It is the last statement of a transaction: see append_revocations.
select seq, tag
from append_revocations(
    array[$1], array[$2], array[$3::timestamptz], array[$4::timestamptz], array[$5], $6
);

-- name: revoke_tokens(jtis, expiries, details, actor, operation, caller)
select seq, tag, kind, value, watermark, created_at, expires_at, ending, healed,
    check_caller_stands($6, null, null)
from revoke_tokens($1, $2, $3, $4, $5);

-- name: revoke_token_by_id(jti, life, actor, reason, leeway, caller)
select longest, record, check_caller_stands($6, null, null)
from revoke_token_by_id_2($1, $2, $3, $4, $5);

-- name: heal(kinds, values, watermarks, created, expiries, endings, facts, actor, leeway,
--     in_force_at)
select seq, tag, kind, value, watermark, created_at, expires_at, ending, healed
from heal_revocations($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: prove_durable()
select prove_durable();

-- name: find_ended(kinds, values, key_id, account_id, issued_at)
-- What a token that was issued then does not outlive: a revocation of one of the named things, or
-- the state of its key or account, whose rows are asked as well. `issued_at` is in whole seconds,
-- and a watermark covers the whole second that it lies in. The expiry of a key ends no token. A key
-- that is not there is no good key, unless a backup is being restored: then nothing is known.
select coalesce(
    (
        select listed.kind from listed_revocation as listed
        where listed.value = any ($2::text[]) and (listed.kind, listed.value) in (
                select thing.kind, thing.value
                from unnest($1::text[], $2::text[]) as thing (kind, value)
            )
            and (listed.watermark is null or listed.watermark >= $5)
        order by listed.seq limit 1
    ),
    (
        select case
            when key.deleted_at is not null or key.revoked_at is not null
                or key.disabled_at is not null or key.watermark >= $5 then 'key'
            when account.deleted_at is not null or account.suspended_at is not null
                or account.watermark >= $5 then 'account'
            else ''
        end
        from api_key as key join account on account.id = key.account_id
        where key.id = $3 and account.id = $4
    ),
    (select 'key' from feed_head where topic = 'denylist' and database_is_whole()),
    'nothing_known'
) as kind;

-- name: read_after(seq, now, most)
-- One row, in which each column holds one fact of all records, as RecordColumns wants it. It is
-- read ten times as fast as a row for each record. Numbers are sent as Postgres sends them in
-- binary: integers of 64 bits, and moments as doubles, in seconds since 1970. `exp` is cut to whole
-- seconds. The kind is left out because the ending tells it.
select
    max(seq) as last_seq,
    string_agg(int8send(seq), '') as seqs,
    string_agg(rpad(tag, 32), '') as tags,
    array_agg(value) as values,
    string_agg(int8send(floor(date_part('epoch', expires_at))::bigint), '') as exps,
    string_agg(float8send(coalesce(date_part('epoch', watermark), 'NaN')), '') as watermarks,
    string_agg(float8send(date_part('epoch', created_at)), '') as created,
    array_agg(ending) as endings,
    string_agg(boolsend(healed), '') as healed
from (
    select seq, tag, value, expires_at, watermark, created_at, ending, healed
    from denylist where seq > $1 and expires_at > $2 order by seq limit $3
) as record;

-- name: list_of(values)
select * from listed_revocation where value = any ($1) order by seq;

-- name: list_named(kinds, values)
-- The revocations of any of these things: the i-th is of kinds[i] and has values[i].
select * from listed_revocation
where value = any ($2::text[]) and (kind, value) in (
    select thing.kind, thing.value from unnest($1::text[], $2::text[]) as thing (kind, value)
)
order by seq;

-- name: find_tag(seq)
select tag from denylist where seq = $1;

-- name: is_revoked(kind, value)
select exists (select from denylist where kind = $1 and value = $2) as revoked;

-- name: delete_expired(now, most)
delete from denylist
where seq in (select seq from denylist where expires_at <= $1 order by expires_at limit $2)
returning seq;

-- name: count()
select
    count(*) filter (where kind = 'jti') as jti,
    count(*) filter (where kind = 'key') as key,
    count(*) filter (where kind = 'account') as account,
    count(*) filter (where kind = 'kid') as kid,
    count(*) filter (where healed) as healed
from listed_revocation where expires_at > clock_timestamp();
