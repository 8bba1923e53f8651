-- Grants the role of the service what it needs, and no more: it appends to the audit trail by
-- append_audit_events alone, and may not make, change or truncate tables. The owner calls this.
create function grant_service_rights(service text) returns void
language plpgsql as $$
begin
    execute format('grant usage on schema public to %I', service);
    execute format(
        'grant select, insert, update, delete on all tables in schema public to %I', service
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
