"""LISTEN, on a connection of its own. What arrives is a hint to look, never the news itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg

from tokensvc.store.feed_head import CHANNEL
from tokensvc.store.pool import unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokensvc.store.pool import Database


async def listen(database: Database, wake: Callable[[], None]) -> None:
    """Call `wake` for every hint, and once at the start: what was sent while nobody listened is gone.

    Returns when the connection is lost. Raises UnavailableError if there is none to be had.
    """
    connection = await database.connect_apart()
    lost = asyncio.Event()
    connection.add_termination_listener(lambda *_: lost.set())
    try:
        await connection.add_listener(CHANNEL, lambda *_: wake())
        wake()
        await lost.wait()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise unavailable(error) from error
    finally:
        connection.terminate()
