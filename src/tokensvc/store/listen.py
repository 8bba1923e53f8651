"""LISTEN, on a connection of its own. What arrives only says that there is something to read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg

from tokensvc.store.driver_errors import unavailable
from tokensvc.store.feed_head import CHANNEL

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokensvc.store.pool import Database


async def listen(database: Database, wake: Callable[[], None]) -> None:
    """Call `wake` for each notification, and once at the start.

    The first call is for what was sent before we listened. Returns when the connection is lost.
    Raises UnavailableError if Postgres is away.
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
