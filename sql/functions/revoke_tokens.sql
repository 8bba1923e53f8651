-- Revokes tokens by their ids, in one round trip. `details` is what the audit trail keeps of each.
-- `actor` is who acts, or an array with the actor of each token.
--
-- A token whose revocation is on the denylist already, and stays there until `expiries` at least,
-- is left as it is: nothing is written for it. The result is all revocations of these tokens.
create function revoke_tokens(
    jtis text[], expiries timestamptz[], details jsonb[], actor jsonb, operation text
)
returns setof listed_revocation
language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
as $$
declare
    new_jtis text[];
    new_expiries timestamptz[];
    new_details jsonb[];
    new_actors jsonb[];
begin
    -- A token has no row that could be locked. All that revoke tokens wait for each other in the
    -- end anyway, for the row of feed_head. The next statement sees what the one before has done.
    perform pg_advisory_xact_lock(7265309614);

    select array_agg(new.jti order by new.jti), array_agg(new.expires_at order by new.jti),
        array_agg(new.detail order by new.jti), array_agg(new.actor order by new.jti)
    into new_jtis, new_expiries, new_details, new_actors
    from (
        select distinct on (asked.jti) asked.jti, asked.expires_at, asked.detail,
            case
                when jsonb_typeof(revoke_tokens.actor) = 'array'
                then revoke_tokens.actor -> asked.place::int - 1
                else revoke_tokens.actor
            end as actor
        from unnest(jtis, expiries, details) with ordinality
            as asked (jti, expires_at, detail, place)
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
        perform append_audit_events(
            new_actors, array_fill(revoke_tokens.operation, array[cardinality(new_jtis)]),
            new_jtis, new_details
        );
        perform append_revocations(
            array_fill('jti'::text, array[cardinality(new_jtis)]), new_jtis, null, new_expiries,
            array_fill('token_revoked'::text, array[cardinality(new_jtis)]), false
        );
    end if;

    return query
    select record.* from listed_revocation as record
    where record.value = any (jtis) and record.kind = 'jti' order by record.seq;
end $$;
