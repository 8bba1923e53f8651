-- Revokes tokens by their ids, in one round trip. `details` is what the audit trail keeps of each.
--
-- A token whose revocation is on the denylist already, and stays there until `expiries` at least,
-- is left as it is: nothing is written for it. The result is all revocations of these tokens.
create function revoke_tokens(
    jtis text[], expiries timestamptz[], details jsonb[], actor jsonb, action text
)
returns setof listed_revocation
language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
as $$
declare
    new_jtis text[];
    new_expiries timestamptz[];
    new_details jsonb[];
begin
    -- A token has no row that could be locked. All that revoke tokens wait for each other in the
    -- end anyway, for the row of feed_head. The next statement sees what the one before has done.
    perform pg_advisory_xact_lock(7265309614);

    select array_agg(new.jti order by new.jti), array_agg(new.expires_at order by new.jti),
        array_agg(new.detail order by new.jti)
    into new_jtis, new_expiries, new_details
    from (
        select distinct on (asked.jti) asked.jti, asked.expires_at, asked.detail
        from unnest(jtis, expiries, details) as asked (jti, expires_at, detail)
        where not exists (
            select from denylist
            where denylist.value = asked.jti and denylist.kind = 'jti'
                and denylist.expires_at >= asked.expires_at
        )
        order by asked.jti, asked.expires_at desc
    ) as new;

    if new_jtis is null then
        perform prove_durable();
    else
        perform append_audit_event(
            revoke_tokens.actor, revoke_tokens.action, new.jti, new.detail
        )
        from unnest(new_jtis, new_details) as new (jti, detail);
        perform append_revocations(
            array_fill('jti'::text, array[cardinality(new_jtis)]), new_jtis, null, new_expiries,
            array_fill('token_revoked'::text, array[cardinality(new_jtis)]), false
        );
    end if;

    return query
    select record.* from listed_revocation as record
    where record.value = any (jtis) and record.kind = 'jti' order by record.seq;
end $$;
