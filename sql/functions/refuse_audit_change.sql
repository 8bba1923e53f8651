-- Refuses to change what the audit trail holds, also to the owner of the tables. Rows may only be
-- deleted up to the newest checkpoint, which says what the hash of the last of them was.
create function refuse_audit_change() returns trigger
language plpgsql as $$
begin
    if tg_op = 'DELETE' and tg_table_name = 'audit_event' then
        if old.number <= (select max(audit_checkpoint.number) from audit_checkpoint) then
            return old;
        end if;
    end if;
    raise 'the audit trail is never changed' using errcode = 'insufficient_privilege';
end $$;
