"""Connecting to the primary, which may be any of several hosts.

Each host is tried in turn with a timeout of its own, because asyncpg without timeouts hangs for
minutes on a lost host. A standby is passed over.

An old primary that comes back after a failover takes writes as well. Its timeline is older than one
that was already seen, so it is passed over like a standby.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import asyncpg
import structlog

from tokensvc.store.database_url import split_hosts

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONNECT_TIMEOUT: Final = 2.0
COMMAND_TIMEOUT: Final = 3.0
_SERVER_SETTINGS: Final = {
    "application_name": "tokensvc",
    "lock_timeout": "1000",
    "statement_timeout": "2500",
    "idle_in_transaction_session_timeout": "5000",
    "synchronous_commit": "on",  # an acknowledged revocation is durable, whatever the default is
    "timezone": "UTC",
    # The ledger reads state after it has waited for locks.
    "default_transaction_isolation": "read committed",
}
_POOL_OPTIONS: Final = ("loop", "connection_class", "record_class")
# The timeline stands in the name of the WAL file that is written now: after a promotion the control
# file still has the old one. It counts within one cluster only, because a dump that is restored
# into another cluster begins at 1 again.
_STANDING: Final = """
select pg_is_in_recovery() as standby,
    (select system_identifier from pg_control_system()) as cluster,
    case
        when not pg_is_in_recovery()
        then ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int
    end as timeline
"""

_WHOLE: Final = "select database_is_whole()"

_log = structlog.get_logger(__name__)


class Timelines:
    """The newest timeline that was seen of each cluster.

    `changes` counts how often a newer one appeared: how many failovers were seen.
    """

    def __init__(self) -> None:
        self._newest: dict[int, int] = {}
        self.changes = 0

    def admit(self, cluster: int, timeline: int) -> bool:
        """Tell whether a primary may be used: none with a newer timeline is known."""
        newest = self._newest.setdefault(cluster, timeline)
        if timeline > newest:
            self._newest[cluster] = timeline
            self.changes += 1
        return timeline >= newest


async def connect(
    url: str,
    *,
    server_settings: Mapping[str, str] | None = None,
    timelines: Timelines | None = None,
    **options: Any,  # noqa: ANN401 - what asyncpg's pool passes
) -> asyncpg.Connection:
    """Connect to the first host of `url` that answers and is the primary.

    `timelines`: what was seen so far; without it any primary will do. Raises what the last host
    raised, or OSError if that host was passed over.
    """
    settings = {**_SERVER_SETTINGS, **(server_settings or {})}
    passed = {name: options[name] for name in _POOL_OPTIONS if name in options}
    failure: Exception = OSError("the database URL names no host")
    for host_url in split_hosts(url):
        try:
            return await _connect_to_host(host_url, timelines, server_settings=settings, **passed)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            failure = error
    raise failure


async def _connect_to_host(
    url: str,
    timelines: Timelines | None,
    **options: Any,  # noqa: ANN401 - as above
) -> asyncpg.Connection:
    """Connect to one host. Raises OSError if it is not the primary."""
    connection: asyncpg.Connection = await asyncpg.connect(
        url, timeout=_CONNECT_TIMEOUT, command_timeout=COMMAND_TIMEOUT, **options
    )
    try:
        await _check_primary(connection, url, timelines)
        await _check_whole(connection)
        await connection.set_type_codec(
            "jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
        )
    except BaseException:
        connection.terminate()
        raise
    return connection


async def _check_whole(connection: asyncpg.Connection) -> None:
    """Raise OSError while a backup is being restored: what is written then would disturb it.

    An empty database passes, so that the first start can make the schema.
    """
    try:
        is_whole = await connection.fetchval(_WHOLE)
    except asyncpg.UndefinedFunctionError:
        return
    if not is_whole:
        raise OSError("a backup is being restored into the database")


async def _check_primary(
    connection: asyncpg.Connection, url: str, timelines: Timelines | None
) -> None:
    """Raise OSError if this host must not be written to."""
    ((is_standby, cluster, timeline),) = await connection.fetch(_STANDING)
    if is_standby:
        raise OSError("the host is a standby")
    if timelines is not None and not timelines.admit(cluster, timeline):
        host = urlsplit(url).netloc.rpartition("@")[2]
        _log.error("old_primary_refused", host=host, timeline=timeline)
        raise OSError("the host is an old primary")
