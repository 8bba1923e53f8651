-- Revokes a token of which only the id is known.
--
-- `life` is how long it may live from now on, null for the longest life that any token can have. A
-- life that no token can have revokes nothing, and `record` is null then. The clock may have been
-- set back since the token was issued, so "now" is at least the latest `iat` given out.
create function revoke_token_by_id(
    jti text, life interval, actor jsonb, reason text, leeway interval
)
returns table (longest interval, record listed_revocation)
language plpgsql as $$
declare
    longest_life interval;
    covering listed_revocation;
    token_end timestamptz;
begin
    select issuance.longest_life into longest_life from issuance;
    if life <= interval '0' or life > longest_life then
        return query select longest_life, null::listed_revocation;
        return;
    end if;
    select greatest(clock_timestamp(), max(account_window.latest_iat))
        + coalesce(life, longest_life)
    into token_end
    from account_window;

    -- A revocation that was written for the longest life covers the token whenever it is asked for
    -- again, because the token existed when it was written.
    select listed.* into covering from listed_revocation as listed
    where listed.value = revoke_token_by_id.jti and listed.kind = 'jti'
        and listed.expires_at - leeway >= least(token_end, listed.created_at + longest_life)
    order by listed.seq desc limit 1;
    if covering.seq is not null then
        perform prove_durable();
        return query select longest_life, covering;
        return;
    end if;
    return query
    select longest_life, revoked
    from revoke_tokens(
        array[revoke_token_by_id.jti], array[token_end + leeway],
        array[jsonb_build_object('reason', reason, 'expires_at', token_end + leeway)],
        revoke_token_by_id.actor, 'tokens.revoke'
    ) as revoked
    order by revoked.seq desc limit 1;
end $$;
