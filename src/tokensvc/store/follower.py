"""Receipts of followers (`sql/queries/follower.sql`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tokensvc.core.follower import FollowerRecord
from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    import asyncpg

    from tokensvc.core.denylist.position import Position

_SQL = load_queries("follower")


class Receipt(NamedTuple):
    """A follower asked for what comes after `position`, so many seconds ago."""

    name: str
    position: Position
    authenticated: bool
    seconds_ago: float


async def put_receipts(connection: asyncpg.Connection, receipts: Sequence[Receipt]) -> None:
    """Store receipts, sorted by name."""
    await connection.execute(_SQL["relax"])
    await connection.execute(
        _SQL["put"],
        [receipt.name for receipt in receipts],
        [receipt.position.seq for receipt in receipts],
        [receipt.position.tag for receipt in receipts],
        [receipt.authenticated for receipt in receipts],
        [receipt.seconds_ago for receipt in receipts],
    )


async def list_followers(connection: asyncpg.Connection) -> list[FollowerRecord]:
    """Return all followers that have asked, by name."""
    return [
        FollowerRecord(
            name=row["name"],
            seq=row["seq"],
            authenticated=row["authenticated"],
            seen_at=row["seen_at"],
            head_seq=row["head_seq"],
            behind_since=row["behind_since"],
            at=row["at"],
        )
        for row in await connection.fetch(_SQL["list"])
    ]


async def delete_silent_followers(connection: asyncpg.Connection, life: timedelta) -> int:
    """Forget followers that have not asked for so long; return how many."""
    return len(await connection.fetch(_SQL["delete_silent"], life))
