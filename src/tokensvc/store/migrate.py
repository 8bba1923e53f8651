"""Forward-only migrations: `sql/migrations/NNNN_noun.sql` in dbmate's format, one transaction each.

What has been applied is remembered with a checksum: a file that was edited after its release is
refused. Two processes that start at once are safe: they poll an advisory lock, because a blocking
wait for it deadlocks with an index that is built concurrently.

A line `-- load: functions/<name>.sql` in a migration stands for the text of that file, and the
checksum covers that text as well. So a function is read and reviewed in a file of its own, and is
as frozen as the migration that loads it: a change is a new file under a new name, loaded by a new
migration. The old function stays for one release, because the release before still calls it.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import asyncpg

from tokensvc.core.errors import StartRefusedError
from tokensvc.store.fitness import explain_missing_right, load_fitness
from tokensvc.store.queries import sql_root

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

_LOCK: Final = 7_265_309_611  # any number, ours alone
_POLL_SECONDS: Final = 0.1
_STATEMENT_TIMEOUT: Final = 600.0
_FILE: Final = re.compile(r"(\d{4})_\w+\.sql")
_UP: Final = "-- migrate:up\n"
_LOAD: Final = re.compile(r"^-- load: (functions/\w+\.sql)$", re.MULTILINE)

_CREATE_SCHEMA_MIGRATIONS: Final = """
create table if not exists schema_migrations (
    version text constraint schema_migrations_pkey primary key,
    checksum text not null,
    applied_at timestamptz not null
)
"""
# The functions of a later migration need rights too, so what is asked for is every table.
_NEEDS_RIGHTS: Final = """
select $1::text <> current_user and exists (
    select from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'v')
        and relowner = current_user::regrole
        and not has_table_privilege($1::text, oid, 'select')
)
"""
_MADE_BY_A_TRIAL: Final = (
    "this database was made by a trial version before the first release and has to be made anew: "
    "delete the data folder of the embedded Postgres (.tokensvc/, or what TOKENSVC_DATA_DIR says), "
    "or create an empty database and name it in TOKENSVC_DATABASE_URL"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One file; `statements` holds the text of the functions that it loads."""

    version: str
    name: str
    statements: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the statements, in hex."""
        return hashlib.sha256(self.statements.encode("utf-8")).hexdigest()


def load_migrations(root: Path | None = None) -> list[Migration]:
    """Return all migrations in order; `root` is the folder `sql`.

    Raises StartRefusedError for a file that is no migration, or that loads a file that is missing.
    """
    root = root or sql_root()
    migrations = []
    for path in sorted((root / "migrations").glob("*.sql")):
        match, text = _FILE.fullmatch(path.name), load_statements(path, root)
        if match is None or not text.startswith(_UP):
            raise StartRefusedError(
                f"{path.name} is no migration: "
                f"it must be named NNNN_noun.sql and begin with '{_UP.strip()}'"
            )
        statements = text.removeprefix(_UP)
        migrations.append(Migration(version=match[1], name=path.name, statements=statements))
    return migrations


def load_statements(path: Path, root: Path) -> str:
    """Return the text of a file below `root`, with the functions that it loads in their places.

    Raises StartRefusedError if one of them is missing.
    """

    def read(line: re.Match[str]) -> str:
        try:
            return (root / line[1]).read_text("utf-8")
        except FileNotFoundError as error:
            raise StartRefusedError(f"{path.name} loads {line[1]}, which is missing") from error

    return _LOAD.sub(read, path.read_text("utf-8"))


@asynccontextmanager
async def one_at_a_time(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """Hold the start lock: one process migrates and sets up, the others wait and find it done.

    A transaction of `connection` holds it, because a pooler in transaction mode would give a
    session's lock to another client. Do the work on another connection meanwhile.
    """
    while True:
        async with connection.transaction():
            if await connection.fetchval("select pg_try_advisory_xact_lock($1)", _LOCK):
                # The work is done on another connection, so this one is idle for as long as that
                # takes.
                await connection.execute("set local idle_in_transaction_session_timeout = 0")
                yield
                return
        await asyncio.sleep(_POLL_SECONDS)  # outside the transaction, so that it delays nobody


async def migrate(connection: asyncpg.Connection, migrations: Sequence[Migration]) -> list[str]:
    """Apply what is missing; return the names of what was applied. Hold `one_at_a_time` around it.

    Raises StartRefusedError as `find_missing` does, and if the role may not make tables.
    """
    missing = await find_missing(connection, migrations)
    if not missing:  # a role that may not make tables may find that there is nothing to make
        return []
    try:
        await connection.execute(_CREATE_SCHEMA_MIGRATIONS)
        for migration in missing:
            await _apply(connection, migration)
    except asyncpg.InsufficientPrivilegeError as error:
        way_out = explain_missing_right(await load_fitness(connection))
        raise StartRefusedError(
            f"the database lacks {len(missing)} migration(s), and this role may not make tables "
            f"({error.args[0]}). {way_out}; or name the owner of the tables in "
            "TOKENSVC_MIGRATION_DATABASE_URL"
        ) from error
    return [migration.name for migration in missing]


async def grant_service_rights(connection: asyncpg.Connection, service: str) -> bool:
    """Grant the role `service` what it lacks; the role of `connection` owns the tables.

    Returns whether anything was granted. Nothing is if it is the same role.
    """
    if await connection.fetchval(_NEEDS_RIGHTS, service):
        await connection.execute("select grant_service_rights($1)", service)
        return True
    return False


async def load_role(connection: asyncpg.Connection) -> str:
    """Return the name of the role that this connection has."""
    role: str = await connection.fetchval("select current_user::text")
    return role


async def find_missing(
    connection: asyncpg.Connection, migrations: Sequence[Migration]
) -> list[Migration]:
    """Return the migrations that this database has not seen.

    Raises StartRefusedError if one that it has seen is another one now.
    """
    if await connection.fetchval("select to_regclass('schema_migrations') is null"):
        return list(migrations)
    rows = await connection.fetch("select version, checksum from schema_migrations")
    applied = {row["version"]: row["checksum"] for row in rows}
    _check_applied(migrations, applied)
    return [migration for migration in migrations if migration.version not in applied]


def _check_applied(migrations: Sequence[Migration], applied: Mapping[str, str]) -> None:
    """Raise StartRefusedError unless the database was made by these migrations.

    It may have seen more than these: the release after this one may run beside it.
    """
    first, *later = migrations
    if applied and applied.get(first.version) != first.checksum:
        raise StartRefusedError(_MADE_BY_A_TRIAL)
    for migration in later:
        if applied.get(migration.version, migration.checksum) != migration.checksum:
            raise StartRefusedError(
                f"migration {migration.name} was edited after it had been applied to this "
                "database. Restore the released file and put the change into a new migration"
            )


async def _apply(connection: asyncpg.Connection, migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute("set local statement_timeout = 0", timeout=_STATEMENT_TIMEOUT)
        await connection.execute(migration.statements, timeout=_STATEMENT_TIMEOUT)
        await connection.execute(
            "insert into schema_migrations (version, checksum, applied_at) "
            "values ($1, $2, clock_timestamp())",
            migration.version,
            migration.checksum,
        )
