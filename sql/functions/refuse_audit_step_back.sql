-- Refuses a head of the audit trail that does not go on. Only a declared reset, which gives it
-- another epoch, leaves number and hash as they are.
create function refuse_audit_step_back() returns trigger
language plpgsql as $$
begin
    if new.number > old.number and new.epoch = old.epoch
        or new.number = old.number and new.hash = old.hash and new.epoch <> old.epoch
    then
        return new;
    end if;
    raise 'the head of the audit trail never goes back' using errcode = 'insufficient_privilege';
end $$;
