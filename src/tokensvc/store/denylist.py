"""The denylist table (`sql/queries/denylist.sql`)."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from tokensvc.core.denylist import DenylistRow, Position, Revocation
from tokensvc.core.healing import build_reason, parse_ending
from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    import asyncpg

    from tokensvc.core.denylist import Ending, Kind

_SQL = load_queries("denylist")
_HEALING_LOCK: Final = 7_265_309_613


def new_tag() -> str:
    """Return a fresh tag: 64 random bits, so that a number that is given out again never has the same one."""
    return secrets.token_hex(8)


async def append_revocation(
    connection: asyncpg.Connection,
    kind: Kind,
    value: str,
    *,
    upto: datetime | None,
    expires_at: datetime,
    reason: Ending,
    healed: bool = False,
) -> Position:
    """Append a revocation and return its position. Others that append wait until this transaction ends."""
    said = build_reason(reason, healed=healed)
    (row,) = await connection.fetch(_SQL["append"], new_tag(), kind, value, upto, expires_at, said)
    return Position(row["seq"], row["tag"])


async def list_after(connection: asyncpg.Connection, seq: int, now: datetime) -> list[DenylistRow]:
    """Return what is alive at `now` and stands after `seq`, in order."""
    return [_row(row) for row in await connection.fetch(_SQL["list_after"], seq, now)]


async def list_named(
    connection: asyncpg.Connection, things: Collection[tuple[Kind, str]]
) -> list[DenylistRow]:
    """Return the entries that name any of `things`, in order."""
    kinds, values = [kind for kind, _ in things], [value for _, value in things]
    return [_row(row) for row in await connection.fetch(_SQL["list_named"], kinds, values)]


async def list_of(connection: asyncpg.Connection, values: Collection[str]) -> list[DenylistRow]:
    """Return the entries that name one of `values`, in order."""
    return [_row(row) for row in await connection.fetch(_SQL["list_of"], values)]


async def lock_healing(connection: asyncpg.Connection) -> None:
    """Wait until no other process appends what it remembers; held until the transaction ends."""
    await connection.execute("select pg_advisory_xact_lock($1)", _HEALING_LOCK)


async def find_tag(connection: asyncpg.Connection, seq: int) -> str | None:
    """Return the tag of the entry `seq`, None if it is not (or no longer) there."""
    tag: str | None = await connection.fetchval(_SQL["find_tag"], seq)
    return tag


async def is_denied(connection: asyncpg.Connection, kind: Kind, value: str) -> bool:
    """Tell whether an entry for just this value exists."""
    denied: bool = await connection.fetchval(_SQL["is_denied"], kind, value)
    return denied


async def delete_expired(connection: asyncpg.Connection, now: datetime, most: int) -> int:
    """Collect at most `most` dead entries; return how many."""
    return len(await connection.fetch(_SQL["delete_expired"], now, most))


def _row(row: asyncpg.Record) -> DenylistRow:
    return DenylistRow(
        position=Position(row["seq"], row["tag"]),
        revocation=Revocation(
            kind=row["kind"],
            value=row["value"],
            exp=int(row["expires_at"].timestamp()),
            upto=None if row["upto"] is None else int(row["upto"].timestamp()),
            ending=parse_ending(row["reason"], row["kind"]),
            ended_at=row["upto"],
        ),
        created_at=row["created_at"],
        reason=row["reason"],
    )
