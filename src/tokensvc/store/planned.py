"""Statements that are planned for their values each time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokensvc.traces.tracing import Tracing

if TYPE_CHECKING:
    import asyncpg


async def fetch_planned(
    connection: asyncpg.Connection,
    statement: str,
    *values: Any,  # noqa: ANN401 - what the statement takes
) -> list[asyncpg.Record]:
    """Run a statement whose best plan depends on the values, and return its rows.

    What the driver remembers is planned once for all values, after some times.
    """
    prepared = await connection.prepare(statement)
    asking = prepared.fetch(*values)
    if Tracing.tracer is not None:
        asking = Tracing.tracer.trace_statement(statement, asking)
    rows: list[asyncpg.Record] = await asking
    return rows
