-- A database that is made beside another one of the same server, to take its place. These are
-- asked in a third database: a session in one of the two would keep it from being renamed.

-- name: load_rights(database)
-- Whether this role may make a database, and rename the present one.
select current_user::text as role, role.rolcreatedb or role.rolsuper as may_create,
    pg_has_role(present.datdba, 'usage') as is_owner
from pg_database as present, pg_roles as role
where present.datname = $1 and role.rolname = current_user;

-- name: build_creation(database, beside)
-- The statement that makes an empty database which is like the present one. Where the name of an
-- ICU or builtin locale stands depends on the version of Postgres, so the row is read as JSON.
select format(
        'create database %I owner %I template template0 encoding %L lc_collate %L lc_ctype %L',
        $2::text, pg_get_userbyid(present.datdba), pg_encoding_to_char(present.encoding),
        present.datcollate, present.datctype
    )
    || case present.datlocprovider
        when 'i' then format(' locale_provider icu icu_locale %L', locale.name)
        when 'b' then format(' locale_provider builtin builtin_locale %L', locale.name)
        else ''
    end
from pg_database as present
    cross join lateral (
        select coalesce(fields ->> 'daticulocale', fields ->> 'datlocale') as name
        from to_jsonb(present) as fields
    ) as locale
where present.datname = $1;

-- name: list_likenings(database, beside)
-- The statements that give another database the rights, the connection limit and the settings of
-- the present one. A list is stored in `setconfig` as it is written, everything else bare.
select format('revoke all on database %I from public', $2::text) as statement
from pg_database where datname = $1 and datacl is not null
union all
select format(
        'grant %s on database %I to %s', right_.privilege_type, $2,
        case right_.grantee when 0 then 'public' else right_.grantee::regrole::text end
    ) || case when right_.is_grantable then ' with grant option' else '' end
from pg_database cross join lateral aclexplode(datacl) as right_
where datname = $1
union all
select format('alter database %I connection limit %s', $2, datconnlimit)
from pg_database where datname = $1 and datconnlimit <> -1
union all
select format(
        'alter %s set %I to %s',
        case setting.setrole
            when 0 then format('database %I', $2)
            else format('role %s in database %I', setting.setrole::regrole, $2)
        end,
        split_part(one, '=', 1),
        case
            when split_part(one, '=', 1) in (
                'search_path', 'temp_tablespaces', 'local_preload_libraries',
                'session_preload_libraries'
            )
            then substr(one, strpos(one, '=') + 1)
            else quote_literal(substr(one, strpos(one, '=') + 1))
        end
    )
from pg_db_role_setting as setting
    join pg_database on pg_database.oid = setting.setdatabase
    cross join lateral unnest(setting.setconfig) as one
where datname = $1;

-- name: end_sessions(database)
-- Those of roles that are ours; others are not ours to end.
select pg_terminate_backend(pid) from pg_stat_activity
where datname = $1 and pid <> pg_backend_pid() and pg_has_role(usesysid, 'usage');

-- name: list_sessions(database)
select format('%s of %s (%s)', pid, usename, application_name) as session from pg_stat_activity
where datname = $1 and backend_type = 'client backend' and pid <> pg_backend_pid();

-- name: list_ended_since(moment)
-- In the present database: what was ended since a backup was made and stands in that backup, and
-- has no revocation any more. No process remembers it. The oldest come first.
select ended.kind, ended.id, ended.act
from (
    select 'key' as kind, id, created_at, greatest(disabled_at, revoked_at, deleted_at) as at,
        case
            when deleted_at is not null then 'delete'
            when revoked_at is not null then 'revoke'
            else 'disable'
        end as act
    from api_key
    union all
    select 'account', id, created_at, greatest(suspended_at, deleted_at),
        case when deleted_at is not null then 'delete' else 'suspend' end
    from account
    union all
    select 'kid', kid, created_at, revoked_at, 'revoke' from signing_key
) as ended
where ended.at > $1 and ended.created_at <= $1
    and not exists (
        select from denylist
        where denylist.kind = ended.kind and denylist.value = ended.id
            and denylist.expires_at > clock_timestamp()
    )
order by ended.at;
