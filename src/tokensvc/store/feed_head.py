"""The heads of what every process keeps a copy of (`sql/queries/feed_head.sql`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, get_args

from tokensvc.core.denylist.position import Position, new_tag
from tokensvc.core.iat_limit import IatBounds
from tokensvc.store.driver_errors import not_initialised
from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import asyncpg

Topic = Literal["denylist", "signing_key", "audience"]
CHANNEL: Final = "tokensvc"

_SQL = load_queries("feed_head")
_TOPICS: Final = frozenset(get_args(Topic))


async def list_heads(connection: asyncpg.Connection) -> tuple[dict[Topic, Position], datetime]:
    """Return the head of each topic, and Postgres's clock.

    Raises UnavailableError while the database is empty or is being restored.
    """
    rows = await connection.fetch(_SQL["list"])
    return _read(rows), rows[0]["at"]


async def list_heads_with_iat(
    connection: asyncpg.Connection,
) -> tuple[dict[Topic, Position], datetime, IatBounds]:
    """As `list_heads`, with what the database says of the latest `iat`."""
    rows = await connection.fetch(_SQL["list_with_iat"])
    heads, first = _read(rows), rows[0]
    return heads, first["at"], IatBounds(first["iat_limit"], first["iat_floor"], first["run"])


def _read(rows: Sequence[asyncpg.Record]) -> dict[Topic, Position]:
    if {row["topic"] for row in rows} != _TOPICS or not rows[0]["whole"]:
        raise not_initialised()
    return {row["topic"]: Position(row["seq"], row["tag"]) for row in rows}


async def bump_head(connection: asyncpg.Connection, topic: Topic) -> None:
    """Say that `topic` has changed, and wake every process when the transaction commits."""
    await connection.execute(_SQL["bump"], topic, new_tag())
    await wake(connection)


async def wake(connection: asyncpg.Connection) -> None:
    """Wake every process when the transaction commits. A process that misses it polls anyway."""
    await connection.execute(_SQL["wake"])
