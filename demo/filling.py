"""Filling an empty database with the story."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demo.counting import count_until
from demo.making import Story, move, tell
from demo.story import BEGAN, list_acts
from demo.telling import tell_receivers
from demo.trail import move_trail
from tokensvc.core.errors import StartRefusedError
from tokensvc.issuer.operations.call import Backend
from tokensvc.issuer.start import initialise

if TYPE_CHECKING:
    from datetime import datetime

    from tokensvc.settings import Settings
    from tokensvc.store.pool import Database


async def fill(database: Database, settings: Settings, seed: int) -> str:
    """Fill a database that nobody has used yet; return the text of an admin key.

    Raises StartRefusedError for any other database.
    """
    async with database.connection() as connection:
        if await connection.fetchval("select to_regclass('account') is not null") and (
            await connection.fetchval("select exists (select from account)")
        ):
            raise StartRefusedError("the demo fills an empty database, and this one is in use")
        began_at: datetime = await connection.fetchval("select clock_timestamp()")
    started = await initialise(database, settings)
    if started.admin is None:
        raise StartRefusedError("the demo fills an empty database, and this one is in use")
    backend = Backend(
        database=database, settings=settings, load_master_key=lambda: started.master_key
    )
    story = Story(now=began_at)
    async with database.connection() as connection:
        await move(connection, story, began_at, {}, story.find_time(BEGAN))
        await tell(backend, connection, story, list_acts(seed))
        await move_trail(connection, story.times)
        await count_until(connection, began_at, seed)
        await tell_receivers(database, connection)
    return started.admin.key.text
