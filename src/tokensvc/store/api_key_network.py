"""The networks that keys were used from (`sql/queries/api_key_network.sql`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import asyncpg

_SQL = load_queries("api_key_network")


class NewNetwork(NamedTuple):
    """A network that a key was not used from before. `known`: how many there were before."""

    key_id: str
    account_id: str
    name: str
    hint: str
    network: str
    known: int


async def put_networks(
    connection: asyncpg.Connection, uses: Sequence[tuple[str, str]]
) -> list[NewNetwork]:
    """Note from which networks keys were used, (key id, network), sorted; return the new ones."""
    rows = await connection.fetch(
        _SQL["put"], [key_id for key_id, _ in uses], [network for _, network in uses]
    )
    return [NewNetwork._make(row) for row in rows]


async def trim_networks(connection: asyncpg.Connection, key_ids: Sequence[str], most: int) -> None:
    """Keep the latest networks of each key only."""
    await connection.execute(_SQL["trim"], key_ids, most)


async def delete_networks(connection: asyncpg.Connection, before: datetime, most: int) -> int:
    """Delete at most `most` networks that were last used before a moment; return how many."""
    return len(await connection.fetch(_SQL["delete_before"], before, most))
