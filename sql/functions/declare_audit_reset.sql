-- Gives the head of the audit trail a new epoch, and writes an event that says why. Followers that
-- have seen a newer head than this one learn by the epoch that the operator knows of it. The owner
-- calls this.
create function declare_audit_reset(actor jsonb, reason text)
returns table (number bigint, hash bytea, epoch text)
language plpgsql as $$
declare
    before audit_head;
begin
    select * into before from audit_head for no key update;
    update audit_head set epoch = replace(gen_random_uuid()::text, '-', '');
    perform append_audit_events(
        array[declare_audit_reset.actor], array['audit.reset'], array['audit'],
        array[jsonb_build_object(
            'reason', declare_audit_reset.reason, 'before', before.epoch, 'after', head.epoch
        )]
    )
    from audit_head as head;
    return query select head.number, head.hash, head.epoch from audit_head as head;
end $$;
