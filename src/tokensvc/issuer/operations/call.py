"""What an operation gets besides its request: who calls, and what it may work on."""

from __future__ import annotations

import hashlib
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from tokensvc.core.errors import UnavailableError, VersionConflictError
from tokensvc.issuer.database import OpenTransaction
from tokensvc.issuer.kept_counts import KeptCounts
from tokensvc.store.api_key import load_api_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from tokensvc.core.actor import Actor
    from tokensvc.core.api_key import KeyTerms
    from tokensvc.core.denylist.position import Position
    from tokensvc.core.denylist.record import RevocationRecord
    from tokensvc.core.errors import NotFoundError
    from tokensvc.core.limit import LimitStatus
    from tokensvc.core.sealing import MasterKey
    from tokensvc.issuer.database import Transactions
    from tokensvc.issuer.revoking.watching import Look
    from tokensvc.operations.model import Model
    from tokensvc.operations.rights import Principal
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Connection, Database

# What changes by itself, or is said only once, is no part of a version.
_VOLATILE: Final = {
    "last_used_at", "last_used_network", "last_used_audience", "age_seconds", "key", "replayed",
    "state", "secret", "failing_since", "failures", "old_secret_until",
    "contact_confirmed_at",
}  # fmt: skip
_VERSION_DIGITS: Final = 24


def _load_no_master_key() -> MasterKey:
    raise UnavailableError("the master key is not at hand")


def _keep_nothing(records: Sequence[RevocationRecord]) -> None:
    """Forget revocations: a command ends before they could be lost."""


class ProcessFacts(NamedTuple):
    """What a process of the service knows of itself, as `/readyz` tells it."""

    checks: Mapping[str, bool]
    warnings: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """What operations work on. It belongs to a running service, or to one command.

    `remember` is told of each revocation that is acknowledged, so that it can be healed.
    `load_master_key` returns the one in force. `watch` waits for what comes after a place of the
    denylist, in the copy of the service; a command has none, and watches the table. `look`: how the
    process of the service is; a command has none. `counts`: those that take long.
    """

    database: Database
    settings: Settings
    remember: Callable[[Sequence[RevocationRecord]], None] = _keep_nothing
    load_master_key: Callable[[], MasterKey] = _load_no_master_key
    watch: Callable[[Position | None, float], Awaitable[Look]] | None = None
    look: Callable[[], ProcessFacts] | None = None
    counts: KeptCounts = field(default_factory=KeptCounts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call.

    `if_match`: the versions that the caller is ready to change, None for any. `calls`: what is left
    of the limit of calls, None if there is no limit. `connection`: an open transaction that the
    changes are part of, None if the operation begins its own.
    """

    backend: Backend
    principal: Principal
    if_match: frozenset[str] | None = None
    calls: LimitStatus | None = None
    connection: Connection | None = None

    @property
    def actor(self) -> Actor:
        """Who acts, as far as the audit trail keeps it."""
        return self.settings.keep_address(self.principal.actor)

    @property
    def database(self) -> Database:
        """The database, for what only reads and for acts that are one statement."""
        return self.backend.database

    @property
    def settings(self) -> Settings:
        """The settings."""
        return self.backend.settings

    @property
    def changes(self) -> Transactions:
        """Where a use case that changes something takes its transaction from."""
        return self.database if self.connection is None else OpenTransaction(self.connection)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Connection]:
        """Lend a connection for statements that only read."""
        if self.connection is not None:
            yield self.connection
            return
        async with self.database.connection() as connection:
            yield connection

    async def find_own_terms(self, connection: Connection) -> KeyTerms | None:
        """Return what the caller's own key has, None for callers that see everything."""
        if self.principal.key_reader_of is None or self.principal.key_id is None:
            return None
        return (await load_api_key(connection, self.principal.key_id)).record.terms

    def check_version(self, thing: Model) -> None:
        """Raise VersionConflictError if the caller wants to change another version of `thing`.

        The row of the thing must be locked.
        """
        if self.if_match is not None and not self.if_match & {"*", find_version(thing)}:
            raise VersionConflictError


def find_version(thing: Model) -> str:
    """Return the version of a thing: the same as long as nobody has changed it."""
    text = thing.model_dump_json(exclude=_VOLATILE)
    return hashlib.sha256(text.encode()).hexdigest()[:_VERSION_DIGITS]


def check_visible(seen: str | None, account_id: str, error: NotFoundError) -> None:
    """Raise `error` for a thing of an account that the caller does not see.

    `seen`: the one account whose things the caller sees, None for all. `error` is the very error of
    a thing that does not exist: the caller learns nothing about others.
    """
    if seen is not None and seen != account_id:
        raise error
