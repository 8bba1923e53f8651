"""What an operation gets besides its request: who calls, and what it may work on."""

from __future__ import annotations

import hashlib
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokensvc.core.errors import NotFoundError, VersionConflictError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from tokensvc.core.denylist.record import RevocationRecord
    from tokensvc.operations.authorisation import Principal
    from tokensvc.operations.model import Model
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Connection, Database

# What changes by itself is no version of a thing.
_VOLATILE = {"last_used_at", "last_used_network", "last_used_audience", "age_seconds", "key"}
_VERSION_BYTES = 12


def _keep_nothing(records: Sequence[RevocationRecord]) -> None:
    """Forget revocations: a command ends before they could be lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """What operations work on. It belongs to a running service, or to one command.

    `remember` is told of each revocation that is acknowledged, so that it can be healed.
    """

    database: Database
    settings: Settings
    remember: Callable[[Sequence[RevocationRecord]], None] = _keep_nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call. `if_match` are the versions that the caller wants to change, None for any."""

    backend: Backend
    principal: Principal
    if_match: frozenset[str] | None = None
    connection: Connection | None = None

    @property
    def database(self) -> Database:
        """The database."""
        return self.backend.database

    @property
    def settings(self) -> Settings:
        """The settings."""
        return self.backend.settings

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Lend the transaction of this call; it begins here if it has not begun yet."""
        if self.connection is not None:
            yield self.connection
            return
        async with self.database.transaction() as connection:
            yield connection

    def check_version(self, thing: Model) -> None:
        """Raise VersionConflictError if the caller wants to change another version of `thing`.

        The row of the thing must be locked.
        """
        if self.if_match is not None and not self.if_match & {"*", find_version(thing)}:
            raise VersionConflictError


def find_version(thing: Model) -> str:
    """Return the version of an answer: the same as long as nobody has changed the thing."""
    text = thing.model_dump_json(exclude=_VOLATILE)
    return hashlib.sha256(text.encode()).hexdigest()[: 2 * _VERSION_BYTES]


def check_visible(owner: str | None, account_id: str, error: NotFoundError) -> None:
    """Raise `error` if a thing of `account_id` is not visible to a caller that sees `owner` alone.

    It is the very error of a thing that does not exist: the caller learns nothing about others.
    """
    if owner is not None and owner != account_id:
        raise error
