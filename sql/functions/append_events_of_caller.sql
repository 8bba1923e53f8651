-- Appends events as append_audit_events does, for a caller of an operation. The result tells
-- whether its API key still stands: it is not disabled, revoked or deleted, nor its account
-- suspended or deleted. If it does not, the transaction must be rolled back.
--
-- Every act that ends a key or an account locks audit_head as well, until its commit. So whoever
-- was before us has committed, and the statement below sees it; and whoever comes later gets a
-- later number. Hence the audit trail never has an event of a key after the end of that key. The
-- row of the key is not locked, so a key that calls all the time cannot keep others from ending it.
create function append_events_of_caller(
    caller text, actors jsonb[], operations text[], subjects text[], details jsonb[]
)
returns boolean
language plpgsql
as $$
begin
    perform append_audit_events(actors, operations, subjects, details);
    return exists (
        select from api_key as key join account on account.id = key.account_id
        where key.id = caller
            and key.disabled_at is null and key.revoked_at is null and key.deleted_at is null
            and account.suspended_at is null and account.deleted_at is null
    );
end $$;
