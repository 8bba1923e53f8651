-- Forgets that a key was never used, at its first use. It runs with the rights of the owner.
create function forget_unused_key() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, public, pg_temp
as $$
begin
    delete from unused_api_key where key_id = new.key_id;
    return null;
end $$;
