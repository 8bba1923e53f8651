"""A database beside the present one, which is filled and then takes its place by renaming.

A session in a database keeps it from being renamed. So all of this is done from a third one, and
the sessions in the present one are ended: their clients connect again, and meet the new one.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

import asyncpg

from tokensvc.core.errors import ConflictError
from tokensvc.store.database_url import name_database
from tokensvc.store.driver_errors import AWAY
from tokensvc.store.primary import connect
from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime

_SQL = load_queries("beside")
_PLACES: Final = ("postgres", "template1")  # of which every server has one that is not the present
_PATIENCE: Final = 600.0  # seconds, as for migrations: a database may be large
_BETWEEN_ENDS: Final = 0.1  # seconds
_WITHOUT_LIMITS: Final = {"statement_timeout": "0", "lock_timeout": "0"}


class Ended(NamedTuple):
    """What was ended. `kind` is `key`, `account` or `kid`; `act` is the verb that ends it again."""

    kind: str
    id: str
    act: str


class Server:
    """The server of the database `present`, seen from another database.

    `owner` makes and renames databases. `enders`: connections of all our roles, because each may
    end the sessions of its own role alone.
    """

    def __init__(
        self, owner: asyncpg.Connection, enders: Sequence[asyncpg.Connection], present: str
    ) -> None:
        self._owner = owner
        self._enders = enders
        self.present = present

    async def make(self, name: str) -> list[str]:
        """Make an empty database that is like the present one.

        Returns the statements that this role may not run; an administrator should, when the new
        database has the name of the present one. Raises ConflictError if it may not make databases,
        or does not own the present one.
        """
        await self._check_rights()
        await self._execute(await self._owner.fetchval(_SQL["build_creation"], self.present, name))
        refused = []
        both = [await self._list_likenings(one) for one in (name, self.present)]
        # Both lists have the same statements: once with the name that the database has now, once
        # with the one that it has after the swap, when an administrator runs what was refused.
        for now, later in zip(*both, strict=True):
            try:
                await self._execute(now)
            except asyncpg.InsufficientPrivilegeError:
                refused.append(later)
        return refused

    async def drop(self, name: str) -> None:
        """Drop a database if it is there, whoever uses it."""
        await self._execute(f"drop database if exists {_quote(name)} with (force)")

    async def swap(self, beside: str, former: str) -> None:
        """Give `beside` the name of the present database, which is called `former` from then on.

        Both happen at once or not at all. Raises ConflictError, and nothing has happened, if
        sessions of other roles stay in one of the two.
        """
        renaming = asyncio.create_task(self._rename(beside, former))
        # While Postgres waits for the last session to leave, it lets no new one in.
        # Sessions are ended again and again: one may have begun before Postgres waited, and the
        # second renaming waits for those in the other database.
        while not renaming.done():
            for ender in self._enders:
                for name in (self.present, beside):
                    await ender.execute(_SQL["end_sessions"], name)
            await asyncio.wait([renaming], timeout=_BETWEEN_ENDS)
        await renaming

    async def _rename(self, beside: str, former: str) -> None:
        present = _quote(self.present)
        try:
            async with self._owner.transaction():
                await self._execute(f"alter database {present} rename to {_quote(former)}")
                await self._execute(f"alter database {_quote(beside)} rename to {present}")
        except asyncpg.ObjectInUseError as error:
            rows = await self._owner.fetch(_SQL["list_sessions"], self.present)
            sessions = ", ".join(row["session"] for row in rows) or "prepared transactions"
            raise ConflictError(
                f"the database {self.present} is in use by others, so it cannot be replaced. End "
                f"them and repeat the command: {sessions}"
            ) from error

    async def _list_likenings(self, name: str) -> list[str]:
        rows = await self._owner.fetch(_SQL["list_likenings"], self.present, name)
        return [row["statement"] for row in rows]

    async def _check_rights(self) -> None:
        (row,) = await self._owner.fetch(_SQL["load_rights"], self.present)
        role, present = _quote(row["role"]), _quote(self.present)
        if not row["may_create"]:
            raise ConflictError(
                f"the role {role} may not make databases. As an administrator: "
                f"alter role {role} createdb. docs/operations.md says how to restore without that"
            )
        if not row["is_owner"]:
            raise ConflictError(
                f"the role {role} does not own the database {present}. As an administrator: "
                f"alter database {present} owner to {role}"
            )

    async def _execute(self, statement: str) -> None:
        await self._owner.execute(statement, timeout=_PATIENCE)


@asynccontextmanager
async def open_server(roles: Sequence[str], present: str) -> AsyncIterator[Server]:
    """Lend the server of the database `present`.

    `roles`: the URLs of all our roles, with one host each, the owner of the database first.
    """
    place = next(name for name in _PLACES if name != present)
    async with AsyncExitStack() as stack:

        async def connect_there(url: str) -> asyncpg.Connection:
            there = name_database(url, place)
            connection = await connect(there, server_settings=_WITHOUT_LIMITS)
            stack.push_async_callback(connection.close)
            return connection

        # The connection of the owner is busy while it renames, so the owner's sessions are ended by
        # another one.
        owner = await connect_there(roles[0])
        enders = [await connect_there(url) for url in dict.fromkeys(roles)]
        yield Server(owner, enders, present)


async def analyze(url: str) -> None:
    """Let Postgres look at a database that was just filled, so that its plans are good at once."""
    connection = await connect(url, server_settings=_WITHOUT_LIMITS)
    try:
        await connection.execute("analyze", timeout=_PATIENCE)
    finally:
        await connection.close()


async def list_ended_since(url: str, moment: datetime) -> list[Ended] | None:
    """Return what was ended since a backup of that moment, and no process remembers any more.

    None if the database cannot be read.
    """
    try:
        connection = await connect(url, server_settings=_WITHOUT_LIMITS)
        try:
            rows = await connection.fetch(_SQL["list_ended_since"], moment, timeout=_PATIENCE)
        finally:
            await connection.close()
    except AWAY:
        return None
    return [Ended(row["kind"], row["id"], row["act"]) for row in rows]


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
