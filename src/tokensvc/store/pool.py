"""Connections to Postgres: every call has a timeout, every failure becomes one of our errors.

asyncpg without timeouts hangs for minutes on a lost host, so connect, acquire, command, statement and lock are all bounded. With a
URL of several hosts each is tried in turn with its own timeout, and only a primary is taken. A connection that turns out to be read only
(SQLSTATE 25006, a demoted primary) is thrown away.

An old primary that comes back after a failover takes writes as well. Its timeline is older than one that was seen already, so it is passed
over like a standby; and when a newer timeline is seen, connections from before are thrown away.
"""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

import asyncpg
import structlog

from tokensvc.core.errors import OutcomeUnknownError, StartRefusedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from asyncpg.transaction import Transaction

_PORT = re.compile(r":([^:\]]*)$")  # after a name or a bracketed IPv6 address

Connection: TypeAlias = asyncpg.Connection  # so that the rooms above can name it without the driver

CONNECT_TIMEOUT: Final = 2.0
ACQUIRE_TIMEOUT: Final = 1.0
COMMAND_TIMEOUT: Final = 3.0
_SERVER_SETTINGS: Final = {
    "application_name": "tokensvc",
    "lock_timeout": "1000",
    "statement_timeout": "2500",
    "idle_in_transaction_session_timeout": "5000",
    "synchronous_commit": "on",  # an acknowledged revocation is durable whatever the server's default is
    "timezone": "UTC",
    "default_transaction_isolation": "read committed",  # the ledger reads state after it has waited for locks
}
# The timeline from the name of the WAL file that is written now: after a promotion the control file still says the old one. It counts
# within one cluster only: a dump that was restored into another one begins at 1 again.
_STANDING: Final = """
select pg_is_in_recovery() as standby, (select system_identifier from pg_control_system()) as cluster,
    case when not pg_is_in_recovery() then ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int end as timeline
"""
_LIBPQ_ONLY: Final = {
    "connect_timeout",
    "target_session_attrs",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
}

# What means "Postgres cannot do it now"; everything else is a fault of ours and must be seen as one.
AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InvalidAuthorizationSpecificationError,  # a rotated password: wait for it to be mended, as for Postgres itself
    asyncpg.InvalidCatalogNameError,
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.InternalClientError,  # what asyncpg says when the connection breaks in the middle of its protocol
)


_log = structlog.get_logger(__name__)


class Timelines:
    """The newest timeline that was seen of each cluster; `changes` counts how often one gave way to a newer one."""

    def __init__(self) -> None:
        self._newest: dict[int, int] = {}
        self.changes = 0

    def admit(self, cluster: int, timeline: int) -> bool:
        """Tell whether a primary may be used: there is none with a newer timeline, as far as is known."""
        newest = self._newest.setdefault(cluster, timeline)
        if timeline > newest:
            self._newest[cluster] = timeline
            self.changes += 1
        return timeline >= newest


class Database:
    """A pool of connections to the primary."""

    def __init__(self, pool: asyncpg.Pool, direct_url: str, timelines: Timelines) -> None:
        self._pool = pool
        self._direct_url = direct_url
        self._timelines = timelines
        self._expired = 0

    @property
    def failovers(self) -> int:
        """How many were seen; a connection that was made before the last one may lead to an old primary."""
        return self._timelines.changes

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """Lend a connection for single statements. Raises UnavailableError."""
        if self._expired != self.failovers:
            self._expired = self.failovers
            await self._pool.expire_connections()
        try:
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT) as borrowed:
                connection = cast("asyncpg.Connection", borrowed)  # the proxy forwards everything
                try:
                    yield connection
                except asyncpg.ReadOnlySQLTransactionError:
                    connection.terminate()
                    raise
        except AWAY as error:
            raise unavailable(error) from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection]:
        """Lend a connection inside a transaction, committed at the end.

        Raises UnavailableError if nothing was changed, OutcomeUnknownError if the answer to the commit was lost.
        """
        async with self.connection() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                yield connection
            except BaseException:
                await _roll_back(connection, transaction)
                raise
            try:
                await transaction.commit()
            except AWAY as error:
                raise OutcomeUnknownError(
                    "the database did not confirm the change; it may have happened. Repeat the request: that is safe",
                    reason=type(error).__name__,
                ) from error

    async def connect_apart(self, **server_settings: str) -> asyncpg.Connection:
        """Open a connection outside the pool, for LISTEN or with settings of its own. Raises UnavailableError."""
        try:
            return await connect(
                self._direct_url, server_settings=server_settings, timelines=self._timelines
            )
        except AWAY as error:
            raise unavailable(error) from error

    async def close(self) -> None:
        """Close all connections; those still busy after five seconds are cut."""
        try:
            async with asyncio.timeout(5):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()


async def _roll_back(connection: asyncpg.Connection, transaction: Transaction) -> None:
    """Roll back, or if that is not possible cut the connection, which does the same."""
    try:
        if not connection.is_closed():
            await transaction.rollback()
    except AWAY:
        connection.terminate()


async def open_database(url: str, *, max_size: int, direct_url: str | None = None) -> Database:
    """Return a pool that connects on demand, so that it can be made while Postgres is away.

    `url` may lead to a pooler in transaction mode. `direct_url` leads past it, for the few connections that need a session of their own;
    without it they go through the pooler as well, and NOTIFY is not heard.
    """

    async def connect_any(*_: object, **options: Any) -> asyncpg.Connection:  # noqa: ANN401 - asyncpg's own options
        return await connect(
            url, timelines=timelines, **options
        )  # the pool has no settings of its own

    check_database_url(url)
    if direct_url is not None:
        check_database_url(direct_url, setting="TOKENSVC_DIRECT_DATABASE_URL")
    timelines = Timelines()
    pool = asyncpg.create_pool(
        url.partition("?")[0],
        min_size=0,
        max_size=max_size,
        connect=connect_any,
        command_timeout=COMMAND_TIMEOUT,
    )
    await pool
    return Database(pool, direct_url or url, timelines)


async def connect(
    url: str,
    *,
    server_settings: Mapping[str, str] | None = None,
    timelines: Timelines | None = None,
    **options: Any,  # noqa: ANN401
) -> asyncpg.Connection:
    """Connect to the first host of `url` that answers and is a primary, by `timelines` not an old one. Raises what the last host raised."""
    passed = {
        name: options[name]
        for name in ("loop", "connection_class", "record_class")
        if name in options
    }
    failure: Exception | None = OSError("the database URL names no host")
    for single in split_hosts(url):
        try:
            connection: asyncpg.Connection = await asyncpg.connect(
                single,
                timeout=CONNECT_TIMEOUT,
                command_timeout=COMMAND_TIMEOUT,
                server_settings={**_SERVER_SETTINGS, **(server_settings or {})},
                **passed,
            )
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            failure = error
            continue
        try:
            failure = await _check_primary(connection, single, timelines)
            if failure is None:
                await connection.set_type_codec(
                    "jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
                )
                return connection
        except BaseException:
            connection.terminate()
            raise
        connection.terminate()
    raise failure or OSError("no host is a primary")


async def _check_primary(
    connection: asyncpg.Connection, url: str, timelines: Timelines | None
) -> OSError | None:
    """Return why a host is passed over, None if it is the primary."""
    ((is_standby, cluster, timeline),) = await connection.fetch(_STANDING)
    if is_standby:
        return OSError("the host is a standby")
    if timelines is not None and not timelines.admit(cluster, timeline):
        _log.error(
            "old_primary_refused", host=urlsplit(url).netloc.rpartition("@")[2], timeline=timeline
        )
        return OSError("the host is an old primary")
    return None


def check_database_url(url: str, *, setting: str = "TOKENSVC_DATABASE_URL") -> None:
    """Raise StartRefusedError unless `url` is a Postgres URL; the message never repeats it, it may hold a password."""
    parts = urlsplit(url)
    ports = [
        port for host in parts.netloc.rpartition("@")[2].split(",") if (port := _PORT.search(host))
    ]
    named = parts.scheme in {"postgresql", "postgres"} and parts.path.strip("/")
    if not named or not all(port[1].isdecimal() for port in ports):
        raise StartRefusedError(
            f"{setting} must look like postgresql://user:password@host:5432/database"
        )


def split_hosts(url: str) -> Sequence[str]:
    """Return one URL per host of a multi-host URL, without the options that only libpq understands."""
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    query = urlencode(
        [(name, value) for name, value in parse_qsl(parts.query) if name not in _LIBPQ_ONLY]
    )
    return [
        urlunsplit((parts.scheme, user + at + unquote(host), parts.path, query, ""))
        for host in hosts.split(",")
    ]


def unavailable(error: BaseException) -> UnavailableError:
    """Return the error that callers see when Postgres cannot do it now; the cause is kept for the log."""
    return UnavailableError(
        "the database does not answer right now; try again",
        reason=f"database_{type(error).__name__}",
    )
