-- Grants the role of the service what it needs, and no more: it appends to the audit trail by
-- append_audit_events alone, and may not make, change or truncate tables. The owner calls this.
-- Tables of others in the same schema are left alone.
create function grant_service_rights(service text) returns void
language plpgsql as $$
begin
    execute format('grant usage on schema public to %I', service);
    execute format(
        'grant select, insert, update, delete on %s to %I',
        (
            select string_agg(format('public.%I', relname), ', ') from pg_class
            where relnamespace = 'public'::regnamespace and relkind in ('r', 'v')
                and relowner = current_user::regrole
        ),
        service
    );
    execute format(
        'revoke insert, update, delete on '
        'audit_event, audit_head, audit_checkpoint, schema_migrations from %I', service
    );
    execute format('revoke insert, update on audit_address from %I', service);
    execute format(
        'grant execute on function append_audit_events(jsonb[], text[], text[], jsonb[]) to %I',
        service
    );
end $$;
