-- Raises TS004, which undoes the act, if the API key of a caller has ended before the act: it is
-- disabled, revoked or deleted, or its account is suspended or deleted.
--
--   caller  The id of its key, null for whoever calls with no key.
--   at      The moment of an act that ends keys, else null. What has this moment, the act itself
--           has ended: a caller may end its own key.
--   account The account that the act itself has suspended or deleted, else null. If it is deleted
--           now, it was not suspended before.
--
-- A statement that ends something calls this with what it has done, so audit_head is locked: see
-- append_events_of_caller, which does the same for acts of several statements.
create function check_caller_stands(caller text, at timestamptz, account text) returns void
language plpgsql as $$
begin
    if caller is not null and not exists (
        select from api_key as key join account as owner on owner.id = key.account_id
        where key.id = caller
            and (key.disabled_at is null or key.disabled_at = at)
            and (key.revoked_at is null or key.revoked_at = at)
            and (key.deleted_at is null or key.deleted_at = at)
            and (owner.deleted_at is null or owner.id = account)
            and (owner.suspended_at is null or (owner.id = account and owner.deleted_at is null))
    )
    then
        raise 'the key of the caller has ended' using errcode = 'TS004';
    end if;
end $$;
