"""Databases for tests, all on one Postgres: made ahead and dropped behind, beside the tests."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Literal, Self
from urllib.parse import urlsplit, urlunsplit

from tests.factories import make_settings
from tokensvc.issuer.start import Started, initialise
from tokensvc.store.migrate import load_migrations, migrate
from tokensvc.store.pool import open_database
from tokensvc.store.primary import connect

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    import asyncpg

# Without tables; with the tables; as after the first start of a service.
Kind = Literal["empty", "migrated", "started"]

FAST_AND_UNSAFE: Final = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "autovacuum=off",
    "max_connections=200",
)
_TEMPLATES: Final[dict[Kind, str]] = {
    "empty": "template0",
    "migrated": "template_migrated",
    "started": "template_started",
}
_PATIENCE: Final = 120.0


class Databases:
    """Fresh databases of one Postgres, for a `with` statement; no name is ever used again.

    `keys_dir`: where the master key of the started ones is. `started` is what their start made.
    """

    started: Started

    def __init__(self, url: str, keys_dir: Path) -> None:
        self._url = url
        self._settings = make_settings(keys_dir=keys_dir)
        self._numbers = itertools.count(1)
        self._maker = ThreadPoolExecutor(1)
        self._runner = asyncio.Runner()  # of the maker's thread: a new loop each time logs a line
        self._connection: asyncpg.Connection | None = None  # the maker's: a new one costs 10 ms
        self._ahead: dict[Kind, Future[str]] = {}
        self._dropped: list[Future[None]] = []

    def __enter__(self) -> Self:
        """Make the templates."""
        self._maker.submit(self._runner.run, self._make_templates()).result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for what is still to be done. Raises if a database could not be dropped."""
        self._maker.submit(self._runner.run, self._disconnect()).result()
        self._maker.submit(self._runner.close)
        self._maker.shutdown()
        for dropped in self._dropped:
            dropped.result()

    def copy_master_key(self, keys_dir: Path) -> None:
        """Make a folder with the master key of the started databases."""
        keys_dir.mkdir(mode=0o700)
        path = self._settings.master_key_path
        shutil.copy(path, keys_dir / path.name)

    def take(self, kind: Kind) -> str:
        """Return the URL of a database that nobody else has."""
        taken = self._ahead.get(kind) or self._maker.submit(self._make, kind)
        self._ahead[kind] = self._maker.submit(self._make, kind)
        return _at(self._url, taken.result())

    def drop(self, url: str) -> None:
        """Have a database dropped that nobody needs any more."""
        name = urlsplit(url).path.strip("/")
        statement = f'drop database "{name}" with (force)'
        self._dropped.append(self._maker.submit(self._runner.run, self._execute(statement)))

    def _make(self, kind: Kind) -> str:
        name = f"test_{next(self._numbers)}"
        self._runner.run(self._execute(_clone(name, _TEMPLATES[kind])))
        return name

    async def _execute(self, statement: str) -> None:
        """Run a statement that concerns whole databases."""
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._url)
            await self._connection.execute("set statement_timeout = 0; set lock_timeout = 0")
        await self._connection.execute(statement, timeout=_PATIENCE)

    async def _disconnect(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def _make_templates(self) -> None:
        migrated, started = _TEMPLATES["migrated"], _TEMPLATES["started"]
        await self._execute(f"create database {migrated}")
        connection = await connect(_at(self._url, migrated))
        await migrate(connection, load_migrations())
        await connection.close()
        await self._execute(_clone(started, migrated))
        database = await open_database(_at(self._url, started), max_size=2)
        self.started = await initialise(database, self._settings)
        await database.close()


def _clone(name: str, template: str) -> str:
    # Copying the files writes no WAL, and leaves nothing in memory to be looked through at the end.
    return f'create database "{name}" template {template} strategy file_copy'


def _at(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))
