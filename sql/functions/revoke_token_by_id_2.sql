-- Revokes a token of which only the id is known.
--
-- `life` is how long it may live from now on, null for the longest life that any token can have. A
-- life that no token can have revokes nothing, and `record` is null then.
--
-- The clock may have been set back since the token was issued, and a crash or a failover may have
-- taken the latest `iat` away with which that is noticed (see find_iat_floor). A clock that is
-- behind does not tell how long a token may live "from now on": then it is the longest life, from
-- the latest `iat` that may have been given out.
create function revoke_token_by_id_2(
    jti text, life interval, actor jsonb, reason text, leeway interval
)
returns table (longest interval, record listed_revocation)
language plpgsql as $$
declare
    longest_life interval;
    latest timestamptz;         -- no token has a later `iat`, unless it is issued from now on
    present timestamptz;
    token_end timestamptz;
    covering listed_revocation;
begin
    select issuance.longest_life into longest_life from issuance;
    if life <= interval '0' or life > longest_life then
        return query select longest_life, null::listed_revocation;
        return;
    end if;
    select greatest(max(account_window.latest_iat), find_iat_floor()) into latest
    from account_window;
    -- Only now, so that no exchange in between makes a clock that is right look as if it were late.
    present := clock_timestamp();
    token_end := case
        when latest > present then latest + longest_life
        else present + coalesce(life, longest_life)
    end;

    -- A revocation that was written for the longest life covers the token whenever it is asked for
    -- again, because the token existed when it was written. That is some seconds after `present`
    -- was read, at most.
    select listed.* into covering from listed_revocation as listed
    where listed.value = revoke_token_by_id_2.jti and listed.kind = 'jti'
        and listed.expires_at - leeway
            >= least(token_end, listed.created_at - interval '5 seconds' + longest_life)
    order by listed.seq desc limit 1;
    if covering.seq is not null then
        perform prove_durable();
        return query select longest_life, covering;
        return;
    end if;
    return query
    select longest_life, revoked
    from revoke_tokens(
        array[revoke_token_by_id_2.jti], array[token_end + leeway],
        array[jsonb_build_object('reason', reason, 'expires_at', token_end + leeway)],
        revoke_token_by_id_2.actor, 'tokens.revoke'
    ) as revoked
    order by revoked.seq desc limit 1;
end $$;
