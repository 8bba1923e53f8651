-- Postgres itself.

-- name: load()
select clock_timestamp() as at,
    current_setting('server_version') as version,
    pg_postmaster_start_time() as started_at,
    (select count(*) from pg_stat_activity where datname = current_database()) as connections,
    current_setting('max_connections')::int as connections_allowed,
    pg_database_size(current_database()) as size_bytes;

-- name: load_newest_migration()
select max(version) from schema_migrations;

-- name: load_notification_queue()
-- How full the queue is in which NOTIFY waits until every listener has read it, from 0 to 1.
select pg_notification_queue_usage();
