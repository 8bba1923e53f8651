-- What `tokensvc doctor` asks, beside what a start asks (fitness.sql).

-- name: load_role()
-- Before there are tables the owner is empty, and nothing is lacking.
with ours as (
    select relowner as owner from pg_class where oid = to_regclass('public.schema_migrations')
),
kept as (
    -- What the service may read and, if at all, append to by a function alone.
    select unnest(array['audit_event', 'audit_head', 'audit_checkpoint', 'schema_migrations',
        'audit_address']) as name
),
lacking as (
    select c.relname::text as name
    from pg_class c join ours on c.relowner = ours.owner
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v')
        and not (
            has_table_privilege(c.oid, 'select')
            and (
                c.relkind = 'v' or c.relname in (select name from kept)
                or (
                    has_table_privilege(c.oid, 'insert') and has_table_privilege(c.oid, 'update')
                    and has_table_privilege(c.oid, 'delete')
                )
            )
        )
    union all
    select 'append_audit_events()'
    from pg_proc p join ours on p.proowner = ours.owner
    where p.proname = 'append_audit_events' and not has_function_privilege(p.oid, 'execute')
)
select current_user::text as name,
    coalesce((select pg_get_userbyid(owner)::text from ours), '') as owner,
    (select rolsuper from pg_roles where rolname = current_user) as is_superuser,
    coalesce((select pg_has_role(owner, 'usage') from ours), true) as is_owner,
    array(select name from lacking order by name) as lacks,
    coalesce(
        has_table_privilege(to_regclass('public.audit_event'), 'update')
        or has_table_privilege(to_regclass('public.audit_event'), 'delete'),
        false
    ) as may_change_trail;

-- name: load_standbys()
-- A role that may not see the state of standbys gets null in its place.
select current_setting('synchronous_standby_names') as named,
    count(r.pid)::int as connected,
    count(*) filter (where r.sync_state in ('sync', 'quorum'))::int as in_step,
    count(*) filter (where r.pid is not null and r.sync_state is null) = 0 as is_told
from (select) as one left join pg_stat_replication r on true;

-- name: load_slot_limit()
-- The unit of this setting is a megabyte.
select setting::int from pg_settings where name = 'max_slot_wal_keep_size';

-- name: list_slots()
select slot_name::text as name, active as is_active, wal_status,
    coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::bigint as kept_bytes
from pg_replication_slots
order by active, slot_name;

-- name: find_local_folder()
-- The data folder of a Postgres on this machine, null elsewhere or if the role may not know it.
select setting from pg_settings
where name = 'data_directory'
    and (inet_server_addr() is null or inet_server_addr() << inet '127.0.0.0/8'
        or inet_server_addr() = inet '::1');

-- name: list_secrets()
select id, sealed_secret from notice_endpoint
where sealed_secret is not null and deleted_at is null
order by id;

-- name: find_identity()
-- Without a lock: a lock is written to the WAL, and would wait for a standby that is absent.
select issuer, key_prefix from service_identity;
