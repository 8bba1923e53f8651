"""Whether a database can be used by the service, asked at the start (`sql/queries/fitness.sql`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import asyncpg

from tokensvc.core.errors import StartRefusedError
from tokensvc.store.postgres_binaries import MIN_MAJOR
from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from tokensvc.store.pool import Database

_SQL = load_queries("fitness")
_ENCODING: Final = "UTF8"
_SCHEMA: Final = "public"
_FORGOTTEN: Final = (
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.DuplicatePreparedStatementError,
)
_POOLER_FORGETS: Final = (
    "the pooler forgets prepared statements, so requests would fail at random. Use PgBouncer 1.21 "
    "or newer with max_prepared_statements = 200, or its session mode, or connect to Postgres "
    "itself"
)


class Fitness(NamedTuple):
    """What a database is like for the role of a connection.

    `schema`: where tables without a schema are looked for and made, None if nowhere.
    `is_read_only`: although it is no standby. `process_id`: of the server process that answered.
    """

    major: int
    encoding: str
    database: str
    role: str
    schema: str | None
    is_read_only: bool
    process_id: int


async def check_database(database: Database) -> None:
    """Raise StartRefusedError if the service cannot use the database; the message says what to do.

    Raises UnavailableError if Postgres is away.
    """
    setting = database.setting
    try:
        async with database.connection() as connection:
            fitness = await load_fitness(connection)
            check_fitness(fitness, setting=setting)
            # A pooler makes up the process id that it tells.
            if connection.get_server_pid() != fitness.process_id:
                async with database.connection() as other:
                    await _check_pooler(connection, other)
    except _FORGOTTEN as error:
        raise StartRefusedError(f"{setting}: {_POOLER_FORGETS}") from error


async def load_fitness(connection: asyncpg.Connection) -> Fitness:
    """Return what the database is like."""
    (row,) = await connection.fetch(_SQL["load"])
    return Fitness(**dict(row))


def check_fitness(fitness: Fitness, *, setting: str) -> None:
    """Raise StartRefusedError, with the SQL that mends it, if the service cannot use the database.

    `setting`: where its URL is.
    """
    database, role = _quote(fitness.database), _quote(fitness.role)
    if fitness.major < MIN_MAJOR:
        wrong = f"it is Postgres {fitness.major}. Use Postgres {MIN_MAJOR} or newer"
    elif fitness.encoding != _ENCODING:
        wrong = (
            f"the encoding of {database} is {fitness.encoding}, which does not hold every name. "
            f"Make another one: create database NAME owner {role} template template0 encoding "
            "'UTF8' locale 'C'"
        )
    elif fitness.is_read_only:
        wrong = (
            f"{database} is read only for {role}. As its owner: alter database {database} "
            f"set default_transaction_read_only = off; alter role {role} reset "
            "default_transaction_read_only"
        )
    elif fitness.schema != _SCHEMA:
        found = "nowhere" if fitness.schema is None else f"in the schema {_quote(fitness.schema)}"
        wrong = (
            f"the tables are in the schema public, and {role} looks for them {found}. "
            f"As an administrator, connected to {database}: alter role {role} in database "
            f"{database} set search_path = public; grant usage on schema public to {role}"
        )
    else:
        return
    raise StartRefusedError(f"{setting}: {wrong}")


def explain_missing_right(fitness: Fitness) -> str:
    """Return what gives the role the right to make tables."""
    database, role = _quote(fitness.database), _quote(fitness.role)
    return (
        f"As an administrator, connected to {database}: grant create, usage on schema public to "
        f"{role}"
    )


async def _check_pooler(one: asyncpg.Connection, other: asyncpg.Connection) -> None:
    """Raise what the driver raises if the pooler between forgets what was prepared.

    `one` prepares a statement on a server connection. While it holds that, `other` takes another
    one. When both have let go, `one` is given one of the two: in one order of letting go or in the
    other one, it is that of `other`.
    """
    for is_one_first in (True, False):
        ours, others = one.transaction(), other.transaction()
        await ours.start()
        statement = await one.prepare("select 1")
        try:
            await others.start()
        except TimeoutError:  # it has a single server connection, which forgets nothing
            other.terminate()
            await ours.rollback()
            return
        for transaction in (ours, others) if is_one_first else (others, ours):
            await transaction.commit()
        await statement.fetchval()


def _quote(name: str) -> str:
    """Return a name as SQL needs it."""
    plain = name.isascii() and name.replace("_", "a").isalnum() and name == name.lower()
    return name if plain and not name[:1].isdigit() else '"' + name.replace('"', '""') + '"'
