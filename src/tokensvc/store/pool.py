"""Connections to Postgres: every call has a timeout, every failure becomes one of our errors.

asyncpg without timeouts hangs for minutes on a lost host, so connect, acquire, command, statement and lock are all bounded. With a
URL of several hosts each is tried in turn with its own timeout, and only a primary is taken. A connection that turns out to be read only
(SQLSTATE 25006, a demoted primary) is thrown away.
"""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

import asyncpg

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
}
_LIBPQ_ONLY: Final = {"connect_timeout", "target_session_attrs", "keepalives", "keepalives_idle", "keepalives_interval"}

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


class Database:
    """A pool of connections to the primary."""

    def __init__(self, pool: asyncpg.Pool, url: str) -> None:
        self._pool = pool
        self._url = url

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """Lend a connection for single statements. Raises UnavailableError."""
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
                msg = "the database did not confirm the change; it may have happened. Repeat the request: that is safe"
                raise OutcomeUnknownError(msg, reason=type(error).__name__) from error

    async def connect_apart(self, **server_settings: str) -> asyncpg.Connection:
        """Open a connection outside the pool, for LISTEN or with settings of its own. Raises UnavailableError."""
        try:
            return await connect(self._url, server_settings=server_settings)
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


async def open_database(url: str, *, max_size: int) -> Database:
    """Return a pool that connects on demand, so that it can be made while Postgres is away."""

    async def connect_any(*_: object, **options: Any) -> asyncpg.Connection:  # noqa: ANN401 - asyncpg's own options
        return await connect(url, **options)  # the pool has no settings of its own

    check_url(url)
    pool = asyncpg.create_pool(
        url.partition("?")[0],
        min_size=0,
        max_size=max_size,
        connect=connect_any,
        command_timeout=COMMAND_TIMEOUT,
    )
    await pool
    return Database(pool, url)


async def connect(url: str, *, server_settings: Mapping[str, str] | None = None, **options: Any) -> asyncpg.Connection:  # noqa: ANN401
    """Connect to the first host of `url` that answers and is a primary. Raises what the last host raised."""
    passed = {name: options[name] for name in ("loop", "connection_class", "record_class") if name in options}
    failure: Exception = OSError("the database URL names no host")
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
            if not await connection.fetchval("select pg_is_in_recovery()"):
                await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
                return connection
        except BaseException:
            connection.terminate()
            raise
        connection.terminate()
        failure = OSError("the host is a standby")
    raise failure


def check_url(url: str) -> None:
    """Raise StartRefusedError unless `url` is a Postgres URL; the message never repeats it, it may hold a password."""
    parts = urlsplit(url)
    ports = [port for host in parts.netloc.rpartition("@")[2].split(",") if (port := _PORT.search(host))]
    named = parts.scheme in {"postgresql", "postgres"} and parts.path.strip("/")
    if not named or not all(port[1].isdecimal() for port in ports):
        msg = "TOKENSVC_DATABASE_URL must look like postgresql://user:password@host:5432/database"
        raise StartRefusedError(msg)


def split_hosts(url: str) -> Sequence[str]:
    """Return one URL per host of a multi-host URL, without the options that only libpq understands."""
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    query = urlencode([(name, value) for name, value in parse_qsl(parts.query) if name not in _LIBPQ_ONLY])
    return [urlunsplit((parts.scheme, user + at + unquote(host), parts.path, query, "")) for host in hosts.split(",")]


def unavailable(error: BaseException) -> UnavailableError:
    """Return the error that callers see when Postgres cannot do it now; the cause is kept for the log."""
    return UnavailableError("the database does not answer right now; try again", reason=f"database_{type(error).__name__}")
