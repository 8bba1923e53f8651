"""Databases for tests, all on one Postgres: made ahead and dropped behind, beside the tests."""

from __future__ import annotations

import asyncio
import itertools
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit, urlunsplit

from tokensvc.store.migrate import load_migrations, migrate
from tokensvc.store.primary import connect

if TYPE_CHECKING:
    from types import TracebackType

FAST_AND_UNSAFE: Final = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_connections=200",
)
_TEMPLATE: Final = "template_tokensvc"
_PATIENCE: Final = 120.0


class Databases:
    """Fresh databases of one Postgres, for a `with` statement; no name is ever used again."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._numbers = itertools.count(1)
        self._maker = ThreadPoolExecutor(1)
        self._runner = asyncio.Runner()  # of the maker's thread: a new loop each time logs a line
        self._ahead: Future[str] | None = None
        self._dropped: list[Future[None]] = []

    def __enter__(self) -> Self:
        """Make the template, and the first database ahead."""
        self._maker.submit(self._runner.run, self._make_template()).result()
        self._ahead = self._maker.submit(self._make, _TEMPLATE)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for what is still to be done. Raises if a database could not be dropped."""
        self._maker.submit(self._runner.close)
        self._maker.shutdown()
        for dropped in self._dropped:
            dropped.result()

    def take(self) -> str:
        """Return the URL of a migrated database that is otherwise empty."""
        assert self._ahead is not None
        taken, self._ahead = self._ahead, self._maker.submit(self._make, _TEMPLATE)
        return _at(self._url, taken.result())

    def take_empty(self) -> str:
        """Return the URL of a database without any table."""
        return _at(self._url, self._maker.submit(self._make, "template0").result())

    def drop(self, url: str) -> None:
        """Have a database dropped that nobody needs any more."""
        name = urlsplit(url).path.strip("/")
        statement = f'drop database "{name}" with (force)'
        self._dropped.append(self._maker.submit(self._execute, statement))

    def _make(self, template: str) -> str:
        name = f"test_{next(self._numbers)}"
        self._execute(f'create database "{name}" template {template}')
        return name

    def _execute(self, statement: str) -> None:
        self._runner.run(_execute(self._url, statement))

    async def _make_template(self) -> None:
        await _execute(self._url, f"create database {_TEMPLATE}")
        connection = await connect(_at(self._url, _TEMPLATE))
        await migrate(connection, load_migrations())
        await connection.close()


def _at(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


async def _execute(url: str, statement: str) -> None:
    connection = await connect(url)
    try:
        await connection.execute("set statement_timeout = 0; set lock_timeout = 0")
        await connection.execute(statement, timeout=_PATIENCE)
    finally:
        await connection.close()
