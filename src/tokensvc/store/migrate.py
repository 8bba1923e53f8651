"""Forward-only migrations: `sql/migrations/NNNN_noun.sql` in dbmate's format (`-- migrate:up`), one transaction each.

What has been applied is remembered with a checksum: a file that was edited after its release is refused. Two starters at once are safe:
an advisory lock is *polled*, because a blocking wait for it deadlocks with concurrent index builds.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tokensvc.core.errors import StartRefusedError
from tokensvc.store.queries import sql_root

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import asyncpg

_LOCK: Final = 7_265_309_611  # any number, ours alone
_POLL_SECONDS: Final = 0.1
_STATEMENT_TIMEOUT: Final = 600.0
_FILE = re.compile(r"(\d{4})_\w+\.sql")
_UP: Final = "-- migrate:up\n"

_CREATE_SCHEMA_MIGRATIONS: Final = """
create table if not exists schema_migrations (
    version text constraint schema_migrations_pkey primary key,
    checksum text not null,
    applied_at timestamptz not null
)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    version: str
    name: str
    statements: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file's statements."""
        return hashlib.sha256(self.statements.encode("utf-8")).hexdigest()


def load_migrations(folder: Path | None = None) -> list[Migration]:
    """Return all migrations in order. Raises StartRefusedError for a file that is none."""
    migrations = []
    for path in sorted((folder or sql_root() / "migrations").glob("*.sql")):
        match, text = _FILE.fullmatch(path.name), path.read_text("utf-8")
        if match is None or not text.startswith(_UP):
            raise StartRefusedError(
                f"{path.name} is no migration: it must be named NNNN_noun.sql and begin with '-- migrate:up'"
            )
        migrations.append(Migration(match[1], path.name, text.removeprefix(_UP)))
    return migrations


@asynccontextmanager
async def one_at_a_time(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """Hold the start lock: of several starters, one migrates and sets up, the others wait and find it done.

    A transaction of `connection` holds it, because a pooler in transaction mode would give a session's lock to somebody else. Work on
    another connection meanwhile.
    """
    while True:
        async with connection.transaction():
            if await connection.fetchval("select pg_try_advisory_xact_lock($1)", _LOCK):
                await connection.execute("set local idle_in_transaction_session_timeout = 0")
                yield
                return
        await asyncio.sleep(_POLL_SECONDS)  # outside, so that who waits keeps nobody from working


async def migrate(connection: asyncpg.Connection, migrations: list[Migration]) -> list[str]:
    """Apply what is missing; return the names of what was applied. Hold `one_at_a_time` around it.

    Raises StartRefusedError if one that has been applied was edited since.
    """
    await connection.execute(_CREATE_SCHEMA_MIGRATIONS)
    missing = await find_missing(connection, migrations)
    for migration in missing:
        await _apply(connection, migration)
    return [migration.name for migration in missing]


async def find_missing(
    connection: asyncpg.Connection, migrations: list[Migration]
) -> list[Migration]:
    """Return the migrations that this database has not seen, checking those that it has."""
    if await connection.fetchval("select to_regclass('schema_migrations') is null"):
        return migrations
    applied = {
        r["version"]: r["checksum"]
        for r in await connection.fetch("select version, checksum from schema_migrations")
    }
    for migration in migrations:
        if applied.get(migration.version, migration.checksum) != migration.checksum:
            raise StartRefusedError(
                f"migration {migration.name} was edited after it had been applied to this database. "
                "Restore the released file and put the change into a new migration"
            )
    return [m for m in migrations if m.version not in applied]


async def _apply(connection: asyncpg.Connection, migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute("set local statement_timeout = 0", timeout=_STATEMENT_TIMEOUT)
        await connection.execute(migration.statements, timeout=_STATEMENT_TIMEOUT)
        await connection.execute(
            "insert into schema_migrations (version, checksum, applied_at) values ($1, $2, clock_timestamp())",
            migration.version,
            migration.checksum,
        )
