"""What a Postgres server says of itself: whether it takes writes, its cluster, its timeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

import asyncpg

from tokensvc.core.primary import UNKNOWN_CLUSTER, Standing

if TYPE_CHECKING:
    from datetime import datetime

# The timeline stands in the name of the WAL file that is written now: after a promotion the control
# file still has the old one, until the next checkpoint.
_TIMELINE: Final = """case
    when not pg_is_in_recovery()
    then ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int
end"""
_CLUSTER: Final = "(select system_identifier from pg_control_system())"
_STATEMENT: Final = """
select pg_is_in_recovery() as is_standby, pg_postmaster_start_time() as started_at,
    {cluster} as cluster, {timeline} as timeline
"""
# A managed service may keep a role from calling these functions. Then as much is asked as it lets.
_STATEMENTS: Final = (
    _STATEMENT.format(cluster=_CLUSTER, timeline=_TIMELINE),
    _STATEMENT.format(cluster="null::bigint", timeline=_TIMELINE),
    _STATEMENT.format(cluster="null::bigint", timeline="null::int"),
)
_NOT_TOLD: Final = (
    asyncpg.InsufficientPrivilegeError,
    asyncpg.UndefinedFunctionError,
    asyncpg.FeatureNotSupportedError,
)


async def load_standing(connection: asyncpg.Connection, host_url: str) -> Standing:
    """Return the standing of the server behind a connection. Raises what the driver raises."""
    *complete, least = _STATEMENTS
    for statement in complete:
        try:
            return await _ask(connection, statement, host_url)
        except _NOT_TOLD:
            continue
    return await _ask(connection, least, host_url)


async def _ask(connection: asyncpg.Connection, statement: str, host_url: str) -> Standing:
    (row,) = await connection.fetch(statement)
    started_at: datetime = row["started_at"]
    return Standing(
        host=name_host(host_url),
        server=started_at.isoformat(),
        is_standby=row["is_standby"],
        cluster=row["cluster"] or UNKNOWN_CLUSTER,
        timeline=row["timeline"],
    )


def name_host(host_url: str) -> str:
    """Return the host and port of a URL with one host, without user and password."""
    parts = urlsplit(host_url)
    host = parts.netloc.rpartition("@")[2]
    return host or ":".join(
        v for name in ("host", "port") for v in parse_qs(parts.query).get(name, [])
    )
