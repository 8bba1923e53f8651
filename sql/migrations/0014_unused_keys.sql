-- migrate:up

-- The keys that have not been used yet, so that lists find them: to compare all keys with all last
-- uses takes long where there are very many. Triggers keep it, because the release before makes and
-- uses keys too. No exchange touches it but the first of a key.
create table unused_api_key (
    key_id text not null,
    constraint unused_api_key_pkey primary key (key_id)
);

-- load: functions/note_unused_keys.sql
-- load: functions/forget_unused_key.sql

create trigger api_key_is_unused after insert on api_key
referencing new table as made
for each statement execute function note_unused_keys();
create trigger api_key_is_used after insert on api_key_last_use
for each row execute function forget_unused_key();

-- The triggers stand already, so nothing is made or used between them and this.
insert into unused_api_key (key_id)
select id from api_key
where not exists (select from api_key_last_use as used where used.key_id = api_key.id);
