"""Many that rotate the signing keys at once."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tests.integration.things import ACTOR, age_signing_keys

from tokensvc.core.errors import UnavailableError
from tokensvc.issuer.signing.rotation import rotate_once
from tokensvc.store.pool import open_database

if TYPE_CHECKING:
    from tokensvc.core.rotation import RotationPlan
    from tokensvc.core.sealing import MasterKey
    from tokensvc.issuer.start import Started
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Database

COUNT = "select count(*), count(*) filter (where active_at is null) from signing_key"


async def check_one_makes_a_successor(
    database_url: str, settings: Settings, started: Started, connection: Any, *, rounds: int
) -> None:
    """Let a rotation be due so many times; twenty try it each time, over two pools."""
    databases = [await open_database(database_url, max_size=10) for _ in range(2)]
    for round_ in range(rounds):
        await age_signing_keys(connection, timedelta(seconds=settings.rotation_period + 3600))
        plans = await asyncio.gather(
            *(_rotate(one, settings, started.master_key) for one in databases * 10)
        )
        assert sum(plan is not None for plan in plans) == 1, f"round {round_}"
        assert tuple(await connection.fetchrow(COUNT)) == (3 + round_, 1)
    for database in databases:
        await database.close()


async def _rotate(
    database: Database, settings: Settings, master_key: MasterKey
) -> RotationPlan | None:
    """Rotate as the service does: who has waited for the lock too long leaves it to the others."""
    with contextlib.suppress(UnavailableError):
        return await rotate_once(database, settings, master_key, actor=ACTOR)
    return None
