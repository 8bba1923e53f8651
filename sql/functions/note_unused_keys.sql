-- Notes keys that were just made: none of them has been used. It runs with the rights of the owner,
-- so that the release before, whose role knows nothing of the table, makes keys as well.
create function note_unused_keys() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, public, pg_temp
as $$
begin
    insert into unused_api_key (key_id) select made.id from made;
    return null;
end $$;
