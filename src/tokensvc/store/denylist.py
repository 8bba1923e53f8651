"""The denylist table (`sql/queries/denylist.sql`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokensvc.core.denylist.columns import RecordColumns
from tokensvc.core.denylist.position import Position, new_tag
from tokensvc.core.denylist.record import ENDINGS, RevocationRecord
from tokensvc.core.denylist.revocation import Revocation
from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection
    from datetime import datetime

    import asyncpg

    from tokensvc.core.denylist.record import Ending
    from tokensvc.core.denylist.revocation import Kind

_SQL = load_queries("denylist")
_HEALING_LOCK: Final = 7_265_309_613
# So many entries are read by one statement: it ends long before any timeout.
_READ_AT_ONCE: Final = 5000


async def append_revocation(
    connection: asyncpg.Connection,
    ending: Ending,
    value: str,
    *,
    watermark: datetime | None,
    expires_at: datetime,
    healed: bool = False,
) -> Position:
    """Append a revocation and return its position.

    The ending says what kind of thing `value` names. Other transactions that append wait until
    this one ends, because the positions have no gaps.
    """
    kind = ENDINGS[ending].kind
    (row,) = await connection.fetch(
        _SQL["append"], new_tag(), kind, value, watermark, expires_at, ending, healed
    )
    return Position(row["seq"], row["tag"])


async def list_after(
    connection: asyncpg.Connection, seq: int, now: datetime
) -> list[RevocationRecord]:
    """Return what is alive at `now` and stands after `seq`, in order."""
    records: list[RevocationRecord] = []
    while True:
        rows = await connection.fetch(_SQL["list_after"], seq, now, _READ_AT_ONCE)
        records += map(_record, rows)
        if len(rows) < _READ_AT_ONCE:
            return records
        seq = records[-1].position.seq


async def read_after(
    connection: asyncpg.Connection, seq: int, now: datetime, *, at_once: int = _READ_AT_ONCE
) -> AsyncIterator[RecordColumns]:
    """Go through what is alive at `now` and stands after `seq`, in order, `at_once` at a time."""
    while True:
        rows = await connection.fetch(_SQL["list_rows_after"], seq, now, at_once)
        if rows:
            columns = RecordColumns()
            columns.extend_rows(rows)
            yield columns
        if len(rows) < at_once:
            return
        seq = rows[-1]["seq"]


async def list_named(
    connection: asyncpg.Connection, things: Collection[tuple[Kind, str]]
) -> list[RevocationRecord]:
    """Return the revocations of any of `things`, in order."""
    kinds, values = [kind for kind, _ in things], [value for _, value in things]
    return [_record(row) for row in await connection.fetch(_SQL["list_named"], kinds, values)]


async def list_of(
    connection: asyncpg.Connection, values: Collection[str]
) -> list[RevocationRecord]:
    """Return the revocations of one of `values`, of whatever kind, in order."""
    return [_record(row) for row in await connection.fetch(_SQL["list_of"], values)]


async def lock_healing(connection: asyncpg.Connection) -> None:
    """Wait until no other process appends what it remembers; held until the transaction ends."""
    await connection.execute("select pg_advisory_xact_lock($1)", _HEALING_LOCK)


async def find_tag(connection: asyncpg.Connection, seq: int) -> str | None:
    """Return the tag of the revocation `seq`, None if it is not there, or not any more."""
    tag: str | None = await connection.fetchval(_SQL["find_tag"], seq)
    return tag


async def is_revoked(connection: asyncpg.Connection, kind: Kind, value: str) -> bool:
    """Tell whether just this value is revoked."""
    revoked: bool = await connection.fetchval(_SQL["is_revoked"], kind, value)
    return revoked


async def delete_expired(connection: asyncpg.Connection, now: datetime, most: int) -> int:
    """Delete at most `most` expired revocations; return how many."""
    return len(await connection.fetch(_SQL["delete_expired"], now, most))


def _record(row: asyncpg.Record) -> RevocationRecord:
    return RevocationRecord(
        position=Position(row["seq"], row["tag"]),
        revocation=Revocation(
            kind=row["kind"],
            value=row["value"],
            exp=int(row["expires_at"].timestamp()),
            upto=None if row["watermark"] is None else int(row["watermark"].timestamp()),
        ),
        ending=row["ending"],
        healed=row["healed"],
        watermark=row["watermark"],
        created_at=row["created_at"],
    )
