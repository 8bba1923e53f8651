"""Whether a database can be used by the service, asked at the start (`sql/queries/fitness.sql`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import asyncpg

from tokensvc.core.errors import StartRefusedError
from tokensvc.store.postgres_binaries import MIN_MAJOR
from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from tokensvc.core.doctor.facts import Way
    from tokensvc.store.pool import Database

_SQL = load_queries("fitness")
_ENCODING: Final = "UTF8"
_SCHEMA: Final = "public"
# Postgres says this if a pooler leads to another server connection than the one that has prepared
# the statement.
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
    `is_read_only`: although it is no standby.
    """

    major: int
    encoding: str
    database: str
    role: str
    schema: str | None
    is_read_only: bool


async def check_database(database: Database) -> None:
    """Raise StartRefusedError if the service cannot use the database; the message says what to do.

    Raises UnavailableError if Postgres is away.
    """
    try:
        async with database.connection() as connection:
            check_fitness(await load_fitness(connection), setting=database.hosts.setting)
        forgets = await find_way(database) == "forgetful pooler"
    except _FORGOTTEN:
        forgets = True
    if forgets:
        raise StartRefusedError(f"{database.hosts.setting}: {_POOLER_FORGETS}")


async def find_way(database: Database) -> Way:
    """Return how connections get to Postgres. Raises UnavailableError."""
    try:
        async with database.connection() as connection:
            # A pooler makes up the process id that it tells.
            if connection.get_server_pid() == await _load_process_id(connection):
                return "direct"
            async with database.connection() as other:
                return await _try_pooler(connection, other)
    except _FORGOTTEN:
        return "forgetful pooler"


async def find_direct_way(database: Database) -> Way:
    """Return how the connections get to Postgres that need a session of their own.

    Raises UnavailableError.
    """
    connection = await database.connect_apart()
    try:
        if connection.get_server_pid() == await _load_process_id(connection):
            return "direct"
        other = await database.connect_apart()
        try:
            return await _try_pooler(connection, other)
        finally:
            other.terminate()
    except _FORGOTTEN:
        return "forgetful pooler"
    finally:
        connection.terminate()


async def load_fitness(connection: asyncpg.Connection) -> Fitness:
    """Return what the database is like."""
    (row,) = await connection.fetch(_SQL["load"])
    return Fitness(**dict(row))


def check_fitness(fitness: Fitness, *, setting: str) -> None:
    """Raise StartRefusedError, with the SQL that mends it, if the service cannot use the database.

    `setting`: where its URL is.
    """
    unfit = explain_unfit(fitness)
    if unfit is not None:
        raise StartRefusedError(f"{setting}: {'. '.join(unfit)}")


def explain_unfit(fitness: Fitness) -> tuple[str, str] | None:
    """Return why the service cannot use the database and what mends it, None if it can."""
    database, role = _quote(fitness.database), _quote(fitness.role)
    if fitness.major < MIN_MAJOR:
        return f"it is Postgres {fitness.major}", f"Use Postgres {MIN_MAJOR} or newer"
    if fitness.encoding != _ENCODING:
        return (
            f"the encoding of {database} is {fitness.encoding}, which does not hold every name",
            (
                f"Make another one: create database NAME owner {role} template template0 encoding "
                "'UTF8' locale 'C'"
            ),
        )
    if fitness.is_read_only:
        return (
            f"{database} is read only for {role}",
            (
                f"As its owner: alter database {database} set default_transaction_read_only = off; "
                f"alter role {role} reset default_transaction_read_only"
            ),
        )
    if fitness.schema != _SCHEMA:
        found = "nowhere" if fitness.schema is None else f"in the schema {_quote(fitness.schema)}"
        return (
            f"the tables are in the schema public, and {role} looks for them {found}",
            (
                f"As an administrator, connected to {database}: alter role {role} in database "
                f"{database} set search_path = public; grant usage on schema public to {role}"
            ),
        )
    return None


def explain_missing_right(fitness: Fitness) -> str:
    """Return what gives the role the right to make tables."""
    database, role = _quote(fitness.database), _quote(fitness.role)
    return (
        f"As an administrator, connected to {database}: grant create, usage on schema public to "
        f"{role}"
    )


async def _load_process_id(connection: asyncpg.Connection) -> int:
    process_id: int = await connection.fetchval(_SQL["load_process_id"])
    return process_id


async def _try_pooler(one: asyncpg.Connection, other: asyncpg.Connection) -> Way:
    """Return what kind of pooler is between. Raises what the driver raises if it forgets.

    `one` prepares a statement on a server connection. While it holds that, `other` takes another
    one. When both have let go, `one` is given one of the two: in one order of letting go or in the
    other one, it is that of `other`.
    """
    given = set()
    for is_one_first in (True, False):
        ours, others = one.transaction(), other.transaction()
        await ours.start()
        given.add(await _load_process_id(one))
        statement = await one.prepare("select 1")
        try:
            await others.start()
        except TimeoutError:  # it has a single server connection, which forgets nothing
            other.terminate()
            await ours.rollback()
            return "transaction pooler"
        for transaction in (ours, others) if is_one_first else (others, ours):
            await transaction.commit()
        await statement.fetchval()
        given.add(await _load_process_id(one))
    return "session pooler" if len(given) == 1 else "transaction pooler"


def _quote(name: str) -> str:
    """Return a name as SQL needs it."""
    # Most names need no quotation marks, and the lines that people copy are easier to read then.
    plain = name.isascii() and name.replace("_", "a").isalnum() and name == name.lower()
    return name if plain and not name[:1].isdigit() else '"' + name.replace('"', '""') + '"'
