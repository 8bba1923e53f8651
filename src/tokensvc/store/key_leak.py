"""Where leaked API keys were found (`sql/queries/key_leak.sql`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tokensvc.core.keyring import LEEWAY
from tokensvc.core.leak import LEAK_ENDINGS
from tokensvc.store.denylist import build_record
from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import asyncpg

    from tokensvc.core.actor import Actor
    from tokensvc.core.denylist.record import RevocationRecord
    from tokensvc.core.leak import Leak, LeakPolicy
    from tokensvc.core.operation_name import OperationName

_SQL = load_queries("key_leak")
_OPERATION: Final[OperationName] = "leaks.report"


class LeakPlace(NamedTuple):
    """Where a key was found, as a stranger tells; the texts are empty if that was not told."""

    url: str
    source: str
    reported_at: datetime


async def report_leaks(
    connection: asyncpg.Connection, leaks: Sequence[Leak], policy: LeakPolicy, *, actor: Actor
) -> list[RevocationRecord]:
    """Note where keys were found, and end those that exist; return all their revocations.

    It is one statement, which commits itself: see `sql/functions/report_leaks.sql`.
    """
    rows = await connection.fetch(
        _SQL["report"],
        [leak.key.digest for leak in leaks],
        [leak.url for leak in leaks],
        [leak.source for leak in leaks],
        LEAK_ENDINGS[policy],
        _OPERATION,
        actor.facts,
        LEEWAY,
    )
    return [build_record(record) for row in rows for record in row["records"]]


async def list_leak_places(connection: asyncpg.Connection, key_id: str) -> list[LeakPlace]:
    """Return where a key was found, the first report first."""
    return [LeakPlace(*row) for row in await connection.fetch(_SQL["list"], key_id)]


async def sum_use(connection: asyncpg.Connection, key_id: str, since: datetime) -> dict[str, int]:
    """Return how many exchanges of a key ended how, from the hour of `since` on."""
    rows = await connection.fetch(_SQL["sum_use"], key_id, since)
    return {row["outcome"]: row["count"] for row in rows}
