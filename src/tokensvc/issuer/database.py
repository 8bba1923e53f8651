"""The database as the rooms above may see it: opened here, handed to use cases, never queried."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from tokensvc.core.errors import StartRefusedError
from tokensvc.settings.environment import read_again
from tokensvc.store.driver_errors import NO_CONNECTION_LEFT
from tokensvc.store.embedded import EmbeddedPostgres
from tokensvc.store.migrate import find_missing, load_migrations
from tokensvc.store.pool import Database, open_database
from tokensvc.store.timelines import TimelineFile, Timelines

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from tokensvc.settings import Settings
    from tokensvc.store.pool import Connection

_CONNECTIONS_BESIDE_POOL: Final = 6  # the ledger, the listener, and what a start needs for a moment
_CONNECTIONS_OF_COMMANDS: Final = 40
_LEAST_CONNECTIONS: Final = 100  # the service may come after a command has started Postgres

__all__ = [
    "NO_CONNECTION_LEFT",
    "Database",
    "OpenTransaction",
    "Transactions",
    "accept",
    "check_schema",
    "embedded_postgres",
    "open_database",
    "open_owner",
    "open_primary",
]


class Transactions(Protocol):
    """What a use case takes its transaction from: a database, or a transaction that is open."""

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """Lend a connection whose changes are committed together."""


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """A transaction that somebody else commits."""

    connection: Connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Lend the connection. The changes are part of the transaction that is open."""
        yield self.connection


def accept(thing: object) -> None:
    """Accept `thing` whatever it is: the `check` of a use case whose caller demands nothing."""


def embedded_postgres(settings: Settings, workers: int = 1) -> EmbeddedPostgres:
    """Return the zero-setup Postgres of these settings, not started yet.

    It takes more connections than `workers` processes of the service can open, so that a command
    always gets one.
    """
    most = _CONNECTIONS_OF_COMMANDS + workers * (settings.pool_size + _CONNECTIONS_BESIDE_POOL)
    return EmbeddedPostgres(
        settings.data_dir,
        bin_dir=settings.postgres_bin_dir,
        options=[f"max_connections={max(_LEAST_CONNECTIONS, most)}"],
    )


@asynccontextmanager
async def open_owner(database: Database, settings: Settings) -> AsyncIterator[Database]:
    """Lend the database as the owner of its tables sees it.

    This is `database` itself unless the settings name another role. Raises StartRefusedError for a
    URL that is none of Postgres.
    """
    url = settings.migration_database_url
    if url is None:
        yield database
        return
    # It needs two connections: while one is open, `check_database` tries with another one whether a
    # pooler forgets.
    owner = await open_database(
        url.get_secret_value(), max_size=2, setting="TOKENSVC_MIGRATION_DATABASE_URL"
    )
    try:
        yield owner
    finally:
        await owner.close()


async def open_primary(
    settings: Settings, url: str, *, max_size: int, is_command: bool = False
) -> Database:
    """Return a pool of connections to the primary, which remembers the newest timeline seen.

    It is remembered in the data folder, or in the keys folder if there is no data folder. A command
    (`is_command`) makes neither of them. The embedded Postgres has no standby, so there is nothing
    to remember. Raises StartRefusedError for a URL that is none of Postgres.
    """
    file = None
    if settings.database_url is not None:
        file = TimelineFile((settings.data_dir, settings.keys_dir), may_make=not is_command)
    return await open_database(
        url,
        max_size=max_size,
        direct_url=settings.direct_url,
        timelines=Timelines(file),
        read_again=None if settings.database_url is None else read_again,
    )


async def check_schema(database: Database) -> None:
    """Raise StartRefusedError unless every migration has been applied."""
    async with database.connection() as connection:
        missing = await find_missing(connection, load_migrations())
    if missing:
        raise StartRefusedError(
            f"the database lacks {len(missing)} migration(s), first {missing[0].name}; "
            "run: tokensvc init"
        )
