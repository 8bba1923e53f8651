"""The operation that shows how the service is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tokensvc import __version__
from tokensvc.core.clock import Reading
from tokensvc.issuer.metrics import BATCH_SECONDS, BATCH_SIZE
from tokensvc.issuer.postgres_clock import PostgresClock
from tokensvc.operations.health import (
    DatabaseHealth,
    Health,
    ProcessHealth,
    SchemaHealth,
    Setting,
)
from tokensvc.settings.showing import show_settings
from tokensvc.store.migrate import find_missing, load_migrations
from tokensvc.store.server_facts import load_newest_migration, load_server_facts

if TYPE_CHECKING:
    from prometheus_client import Histogram

    from tokensvc.issuer.operations.call import Call, ProcessFacts
    from tokensvc.operations.model import Nothing
    from tokensvc.settings import Settings


async def show(call: Call, request: Nothing) -> Health:
    """Show how the service is."""
    del request
    shipped = load_migrations()
    async with call.reading() as connection:
        asked = PostgresClock().ask()
        facts = await load_server_facts(connection)
        took = time.monotonic() - asked.on
        missing = await find_missing(connection, shipped)
        applied = await load_newest_migration(connection)
    clocks = Reading(postgres=facts.at.timestamp(), wall=asked.wall, on=asked.on, spent=took)
    look = call.backend.look
    return Health(
        version=__version__,
        at=facts.at,
        clock_difference_seconds=round(clocks.difference, 4),
        database=DatabaseHealth(
            version=facts.version,
            answer_seconds=round(took, 4),
            connections=facts.connections,
            connections_allowed=facts.connections_allowed,
            size_bytes=facts.size_bytes,
            started_at=facts.started_at,
        ),
        migrations=SchemaHealth(
            applied=applied,
            shipped=shipped[-1].version,
            missing=[migration.name for migration in missing],
        ),
        process=None if look is None else _build_process(look()),
        settings=list_settings(call.settings),
    )


def list_settings(settings: Settings) -> list[Setting]:
    """Return all settings by name, without what is secret."""
    return [
        Setting(
            name=shown.name,
            value=shown.value,
            is_secret=shown.is_secret,
            is_set=shown.is_set,
            is_default=shown.is_default,
            source=shown.source,
        )
        for shown in show_settings(settings)
    ]


def _build_process(facts: ProcessFacts) -> ProcessHealth:
    statements, seconds = _read(BATCH_SECONDS)
    _, judged = _read(BATCH_SIZE)
    return ProcessHealth(
        checks=dict(facts.checks),
        warnings=list(facts.warnings),
        statements=statements,
        judged=int(judged),
        statement_seconds=round(seconds / statements, 5) if statements else None,
    )


def _read(histogram: Histogram) -> tuple[int, float]:
    """Return count and sum of what this process has observed."""
    (found,) = histogram.collect()
    # Besides `..._count` and `..._sum` there are the buckets, which nobody asks for here.
    sums = {sample.name.rpartition("_")[2]: sample.value for sample in found.samples}
    return int(sums["count"]), sums["sum"]
