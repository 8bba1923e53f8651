-- Whether a database can hold our tables.

-- name: load()
select current_setting('server_version_num')::int / 10000 as major,
    current_setting('server_encoding') as encoding,
    current_database()::text as database,
    current_user::text as role,
    current_schema()::text as schema,
    current_setting('transaction_read_only')::boolean and not pg_is_in_recovery() as is_read_only;

-- name: load_process_id()
-- Of the server process that answers.
select pg_backend_pid();
