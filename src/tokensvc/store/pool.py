"""A pool of connections to the primary, and transactions.

Every call has a timeout, and every failure becomes one of our errors: to lend a connection, to run
a command, to wait for a lock and to close are all bounded. A connection that turns out to be read
only, because its primary was demoted, is thrown away. So is every connection that was made before
the last failover, because it may lead to an old primary.
"""

from __future__ import annotations

import asyncio
import functools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast
from weakref import WeakSet

import asyncpg

from tokensvc.core.errors import OutcomeUnknownError
from tokensvc.store.connecting import COMMAND_TIMEOUT
from tokensvc.store.driver_errors import AWAY, unavailable, was_rolled_back
from tokensvc.store.primary import Hosts
from tokensvc.store.timelines import Timelines

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from asyncpg.transaction import Transaction

    from tokensvc.core.primary import PrimaryProblem

Connection: TypeAlias = asyncpg.Connection  # so that the rooms above can name it

# No request waits longer than both for a connection: until one is free, and until it is made, which
# takes long on a busy machine or with Postgres far away. A caller that gave up sooner would throw
# away a connection that is almost made, and the next caller would begin again.
_FREE_TIMEOUT: Final = 1.0
_NEW_TIMEOUT: Final = 2.0
_CLOSE_TIMEOUT: Final = 5.0


class _PooledConnection(asyncpg.Connection):
    """A connection that is given back without a round trip.

    asyncpg would reset the session each time. No statement of ours leaves anything in it.
    """

    def get_reset_query(self) -> str:
        """Return nothing to be sent."""
        return ""


class Database:
    """A pool of connections to the primary of `hosts`."""

    def __init__(
        self, pool: asyncpg.Pool, hosts: Hosts, direct_hosts: Hosts, timelines: Timelines
    ) -> None:
        self._pool = pool
        # asyncpg has one timeout for two waits, so callers wait here until a connection is free.
        self._free = asyncio.Semaphore(pool.get_max_size())
        self.hosts = hosts
        self._direct_hosts = direct_hosts
        self._timelines = timelines
        self._expired = 0
        self._apart: WeakSet[asyncpg.Connection] = WeakSet()  # their users close them

    @property
    def most_connections(self) -> int:
        """How many connections the pool may open."""
        return self._pool.get_max_size()

    @property
    def used_connections(self) -> int:
        """How many of them are lent at this moment."""
        return self._pool.get_size() - self._pool.get_idle_size()

    @property
    def failovers(self) -> int:
        """How many failovers were seen. An older connection may lead to an old primary."""
        return self._timelines.changes

    @property
    def problem(self) -> PrimaryProblem | None:
        """What was wrong with the primary when the hosts were asked the last time."""
        return self.hosts.problem or self._direct_hosts.problem

    async def ask_hosts(self) -> PrimaryProblem | None:
        """Ask all hosts which of them is the primary, and leave an old one.

        Returns what is wrong, as far as hosts answer; None if nothing is. It takes two seconds at
        most.
        """
        await self.hosts.find_primary(afresh=True)
        if self._direct_hosts is not self.hosts:
            await self._direct_hosts.find_primary(afresh=True)
        await self._leave_old_primary()
        return self.problem

    async def watch_hosts_once(self) -> None:
        """As `ask_hosts`, if there are several hosts, so that one may become the primary."""
        if max(self.hosts.count, self._direct_hosts.count) > 1:
            await self.ask_hosts()

    async def _leave_old_primary(self) -> None:
        """Have no connection that was made before the last failover."""
        if self._expired == self.failovers:
            return
        self._expired = self.failovers  # before any await, so that of many callers one does it
        await self._pool.expire_connections()
        for connection in list(self._apart):
            connection.terminate()  # who uses it connects again

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """Lend a connection for single statements. Raises UnavailableError."""
        if self.hosts.count > 1 and self.hosts.choice is None:
            await self.hosts.find_primary()  # here, because it may last longer than acquiring
        await self._leave_old_primary()
        try:
            async with asyncio.timeout(_FREE_TIMEOUT):
                await self._free.acquire()
        except TimeoutError as error:
            raise unavailable(error, self.hosts.setting) from error
        try:
            async with self._pool.acquire(timeout=_NEW_TIMEOUT) as borrowed:
                connection = cast("asyncpg.Connection", borrowed)  # the proxy forwards everything
                try:
                    yield connection
                except asyncpg.ReadOnlySQLTransactionError:
                    connection.terminate()
                    raise
        except AWAY as error:
            raise unavailable(error, self.hosts.setting) from error
        finally:
            self._free.release()

    @asynccontextmanager
    async def act(self) -> AsyncIterator[asyncpg.Connection]:
        """Lend a connection for one statement that changes something and commits itself.

        Raises UnavailableError if nothing was changed, OutcomeUnknownError if that is not certain.
        """
        async with self.connection() as connection:
            try:
                yield connection
            except AWAY as error:
                # Nothing was changed, and `connection` makes an UnavailableError of it.
                if was_rolled_back(error):
                    raise
                raise _unknown(error) from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection]:
        """Lend a connection inside a transaction, committed at the end.

        Raises UnavailableError if nothing was changed, OutcomeUnknownError if the answer to the
        commit was lost.
        """
        async with self.connection() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                yield connection
            except BaseException:
                # A cancelled caller comes here as well, and its connection goes back to the pool.
                await _roll_back(connection, transaction)
                raise
            try:
                await transaction.commit()
            except AWAY as error:
                raise _unknown(error) from error

    async def connect_apart(self, **server_settings: str) -> asyncpg.Connection:
        """Open a connection outside the pool: for LISTEN, or with settings of its own.

        Raises UnavailableError.
        """
        try:
            connection = await self._direct_hosts.connect(server_settings)
        except AWAY as error:
            raise unavailable(error, self._direct_hosts.setting) from error
        await self._leave_old_primary()  # it may just have been noticed
        self._apart.add(connection)
        return connection

    async def find_primary_url(self) -> str:
        """Return the URL of the primary alone, past a pooler. Raises UnavailableError."""
        try:
            return await self._direct_hosts.find_url()
        except AWAY as error:
            raise unavailable(error, self._direct_hosts.setting) from error

    async def close(self, patience: float = _CLOSE_TIMEOUT) -> None:
        """Close all connections; those that are still busy after `patience` seconds are cut."""
        await self.hosts.close()
        await self._direct_hosts.close()
        try:
            async with asyncio.timeout(patience):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()


async def open_database(
    url: str,
    *,
    max_size: int,
    direct_url: str | None = None,
    timelines: Timelines | None = None,
    setting: str = "TOKENSVC_DATABASE_URL",
    read_again: Callable[[str], str] | None = None,
) -> Database:
    """Return a pool that connects on demand, so that it can be made while Postgres is away.

    `url` may lead to a pooler in transaction mode. `direct_url` leads past it, for the few
    connections that need a session of their own; without it they go through the pooler as well, and
    NOTIFY is not heard. `timelines`: what is known of earlier failovers, nothing by default.
    `setting`: where `url` comes from. `read_again` returns the URL that a setting has now, in case
    a password was replaced. Raises StartRefusedError for a URL that is none of Postgres.
    """
    seen = Timelines() if timelines is None else timelines

    def find_hosts(url: str, setting: str) -> Hosts:
        return Hosts(url, seen, setting, read_again and functools.partial(read_again, setting))

    direct_hosts = hosts = find_hosts(url, setting)
    if direct_url not in {None, url}:
        direct_hosts = find_hosts(str(direct_url), "TOKENSVC_DIRECT_DATABASE_URL")

    # The options are asyncpg's own.
    async def connect_any(*_: object, **options: Any) -> asyncpg.Connection:  # noqa: ANN401
        return await hosts.connect(**options)

    pool = asyncpg.create_pool(
        min_size=0,
        max_size=max_size,
        connect=connect_any,
        connection_class=_PooledConnection,
        command_timeout=COMMAND_TIMEOUT,
    )
    await pool
    return Database(pool, hosts, direct_hosts, seen)


def _unknown(error: BaseException) -> OutcomeUnknownError:
    return OutcomeUnknownError(
        "the database did not confirm the change; it may have happened. "
        "Repeat the request: that is safe",
        reason=type(error).__name__,
    )


async def _roll_back(connection: asyncpg.Connection, transaction: Transaction) -> None:
    """Roll back, or if that is not possible cut the connection, which does the same."""
    try:
        if not connection.is_closed():
            await transaction.rollback()
    except AWAY:
        connection.terminate()
