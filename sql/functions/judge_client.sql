-- Judges the client that authenticates with an API key beside a token that is to be narrowed.
--
-- `demand` holds the SHA-256 of that key in hex (`client`), the key id that the client claims
-- (`client_says_id`), null if it claims none, and the `address` that it has. The result is null if
-- the client is good: `unknown_client` if there is no such key, `wrong_client` if it may not be
-- used, or not there, or has another id.
-- The row is not locked: the client gets no token of its own. Its state is read in the statement
-- that judges the exchange, so whoever was revoked before that is refused.
create function judge_client(demand jsonb, present timestamptz) returns text
language sql stable as $$
    select case
        when count(*) = 0 then 'unknown_client'
        when not bool_and(
            key.revoked_at is null and key.disabled_at is null
            and (key.expires_at is null or key.expires_at > present)
            and account.suspended_at is null and account.deleted_at is null
            and (demand ->> 'client_says_id' is null or demand ->> 'client_says_id' = key.id)
            and (
                cardinality(key.networks) = 0
                or ((demand ->> 'address')::inet <<= any (key.networks)) is true
            )
        ) then 'wrong_client'
    end
    from api_key as key join account on account.id = key.account_id
    where key.digest = decode(demand ->> 'client', 'hex') and key.deleted_at is null
$$;
