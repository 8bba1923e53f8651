"""Receipts of followers (`sql/queries/follower.sql`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tokensvc.core.follower import FollowerId, FollowerRecord
from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    import asyncpg

    from tokensvc.core.denylist.position import Position

_SQL = load_queries("follower")


class Receipt(NamedTuple):
    """A follower asked for what comes after `position`, `seconds_ago`."""

    follower: FollowerId
    position: Position
    seconds_ago: float


async def put_receipts(connection: asyncpg.Connection, receipts: Sequence[Receipt]) -> None:
    """Store receipts, sorted by follower."""
    await connection.execute(_SQL["relax"])
    await connection.execute(
        _SQL["put"],
        [receipt.follower.key_id for receipt in receipts],
        [receipt.follower.name for receipt in receipts],
        [receipt.position.seq for receipt in receipts],
        [receipt.position.tag for receipt in receipts],
        [receipt.seconds_ago for receipt in receipts],
    )


async def delete_followers(
    connection: asyncpg.Connection, followers: Collection[FollowerId]
) -> None:
    """Forget followers that said goodbye."""
    key_ids, names = [f.key_id for f in followers], [f.name for f in followers]
    await connection.execute(_SQL["delete"], key_ids, names)


async def list_followers(
    connection: asyncpg.Connection,
    *,
    most_unproved: int,
    now: datetime | None = None,
) -> list[FollowerRecord]:
    """Return the followers that have asked: all that prove their names, and the latest others.

    They are judged by the earlier one of Postgres's clock and `now`, if it is given.
    """
    return [
        FollowerRecord(
            id=FollowerId(row["key_id"], row["name"]),
            seq=row["seq"],
            seen_at=row["seen_at"],
            head_seq=row["head_seq"],
            behind_since=row["behind_since"],
            at=row["at"] if now is None else min(row["at"], now),
        )
        for row in await connection.fetch(_SQL["list"], most_unproved)
    ]


async def count_unproved_followers(connection: asyncpg.Connection) -> int:
    """Return how many followers do not prove their names."""
    count: int = await connection.fetchval(_SQL["count_unproved"])
    return count


async def delete_silent_followers(connection: asyncpg.Connection, before: datetime) -> int:
    """Forget followers that have not asked since `before`; return how many."""
    return len(await connection.fetch(_SQL["delete_silent"], before))


async def delete_followers_beyond(connection: asyncpg.Connection, most_unproved: int) -> int:
    """Keep only the latest of those that do not prove their names; return how many others went."""
    return len(await connection.fetch(_SQL["delete_beyond"], most_unproved))
