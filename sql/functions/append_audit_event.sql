-- Writes one event of the audit trail. Nothing else inserts into audit_event. `detail` must never
-- hold a secret. It is called before feed_head is locked, in every transaction.
create function append_audit_event(actor jsonb, action text, subject text, detail jsonb)
returns void
language plpgsql as $$
begin
    insert into audit_event (at, actor, action, subject, detail)
    values (
        clock_timestamp(), append_audit_event.actor ->> 'name', append_audit_event.action,
        append_audit_event.subject, append_audit_event.detail
    );
end $$;
