"""Set-ups of Postgres, and the URLs that lead to it."""

from __future__ import annotations

from typing import Final

from tests.soak.setup_row import DATABASE, ROLE, SetUp


def _alter(setting: str) -> tuple[str, ...]:
    return (ROLE, DATABASE, f"alter role {{name}} set {setting}")


POSTGRES: Final = (
    SetUp("the two lines of the documentation"),
    SetUp(
        "a role that may not make tables",
        refused=r"may not make tables \(permission denied for schema public\).* grant create, usage"
        r" on schema public to {name}; or name the owner .* TOKENSVC_MIGRATION_DATABASE_URL",
        sql=(ROLE, "create database {name}"),
    ),
    SetUp(
        "an empty search_path",
        refused=r"looks for them nowhere. .*alter role {name} in database {name} set search_path",
        sql=_alter("search_path = ''"),
    ),
    SetUp(
        "a schema of its own first",
        refused="in the schema {name}",
        inside=("create schema {name} authorization {name}",),
    ),
    SetUp(
        "read only by default",
        refused=r"read only for {name}\. .*set default_transaction_re",
        sql=_alter("default_transaction_read_only = on"),
    ),
    SetUp(
        "a database in SQL_ASCII",
        refused="is SQL_ASCII, .*encoding 'UTF8'",
        sql=(ROLE, DATABASE + " template template0 encoding 'SQL_ASCII' locale 'C'"),
    ),
    SetUp(
        "a database in LATIN1",
        refused="is LATIN1, .*encoding 'UTF8'",
        sql=(ROLE, DATABASE + " template template0 encoding 'LATIN1' locale 'C'"),
    ),
    SetUp(
        "control data that the role may not read",
        inside=("revoke execute on function pg_control_system() from public",),
    ),
    SetUp(
        "no function tells the timeline",
        inside=(
            "revoke execute on function pg_control_system() from public",
            "revoke execute on function pg_walfile_name(pg_lsn) from public",
        ),
    ),
    SetUp(
        "a wrong password",
        refused='password authentication failed for user "{name}"',
        user="{name}:geheim",
    ),
    SetUp(
        "a role that does not exist",
        refused="authentication failed|does not exist",
        user="no_{name}:geheim",
    ),
    SetUp(
        "a role that may not log in",
        refused="not permitted to log in.*create role",
        sql=(*(ROLE, DATABASE), "alter role {name} nologin"),
    ),
    SetUp(
        "a database that does not exist",
        refused='"no_{name}" does not exist.*create database',
        address="{host}/no_{name}",
    ),
    SetUp(
        "no right to connect",
        refused="permission denied for database.*grant connect",
        sql=(ROLE, "create database {name}", "revoke connect on database {name} from public"),
    ),
    SetUp(
        "no line in pg_hba.conf",
        refused="no pg_hba.conf entry.*needs a line",
        address="{host}/{name}?sslmode=disable",
    ),
)
URLS: Final = (
    SetUp("a socket, written with %2F", address="{socket}/{name}"),
    SetUp("a socket, as a parameter", address="/{name}?host={plain_socket}&port={port}"),
    SetUp(
        "a password with all signs, not written with %",
        refused="must look like .* %2F for /",
        user="{name}:a b/c@d%e",
    ),
    SetUp(
        "parameters that change nothing",
        address="{host}/{name}?keepalives_count=5&"
        "sslcompression=0&fallback_application_name=x&gssencmode=prefer&connect_timeout=3&"
        "target_session_attrs=read-write&application_name=y",
    ),
    SetUp(
        "channel binding, with a certificate that is trusted",
        address="{host}/{name}?sslmode=require&channel_binding=require&sslrootcert={ca}",
    ),
    SetUp(
        "channel binding, with a certificate that nobody knows",
        refused="certificate of Postgres cannot be trusted.*sslrootcert=FILE",
        address="{host}/{name}?sslmode=require&channel_binding=require",
    ),
    SetUp(
        "a certificate that is checked",
        address="{host}/{name}?sslmode=verify-full&sslrootcert={ca}",
    ),
    SetUp(
        "a certificate that is checked, without an authority",
        refused="root certificate file .* does not exist.*Correct the URL",
        address="{host}/{name}?sslmode=verify-full",
    ),
    SetUp(
        "an sslmode that does not exist",
        refused="sslmode is one of disable",
        address="{host}/{name}?sslmode=bogus",
    ),
    SetUp(
        "GSSAPI demanded",
        refused="gssencmode may be disable or prefer",
        address="{host}/{name}?gssencmode=require",
    ),
    SetUp(
        "a parameter that nobody knows",
        refused="'pgbouncer' is no parameter of libpq",
        address="{host}/{name}?pgbouncer=true",
    ),
    SetUp("settings of the server as options", address="{host}/{name}?options=-c%20work_mem=8MB"),
    SetUp(
        "a setting of the server that does not exist",
        refused='unrecognized configuration parameter "no_such".*Correct options',
        address="{host}/{name}?options=-c%20no_such=1",
    ),
    SetUp(
        "a host that no name server knows",
        refused="did not answer within 1 s.*TOKENSVC_DATABASE_URL",
        address="no-such-host.invalid/{name}",
        settings={"TOKENSVC_DATABASE_WAIT": "1"},
    ),
    SetUp(
        "the owner's URL has a wrong password",
        refused="TOKENSVC_MIGRATION_DATABASE_URL: .*password authentication failed",
        settings={"TOKENSVC_MIGRATION_DATABASE_URL": "postgresql://{name}:geheim@{host}/{name}"},
    ),
    SetUp(
        "two roles",
        sql=(
            ROLE,
            "create role {name}_owner login password 'x'",
            "create database {name} owner {name}_owner",
        ),
        settings={"TOKENSVC_MIGRATION_DATABASE_URL": "postgresql://{name}_owner:x@{host}/{name}"},
    ),
)
