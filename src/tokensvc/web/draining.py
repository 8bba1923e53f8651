"""Waiting, before a process leaves, until no new client comes and all who came have asked."""

from __future__ import annotations

import asyncio
import select
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from tokensvc.web.connections import Connections

_LOOKS: Final = 20


async def wait_until_quiet(
    listener: socket.socket, count_arrivals: Callable[[], object], quiet: float, longest: float
) -> None:
    """Return when nothing new has come for `quiet` seconds, or after `longest`.

    `count_arrivals` tells how many connections and requests have come so far. Connections that wait
    in the queue of `listener` have come as well: they are taken even after `longest`, for as long
    again.
    """
    # Only this queue knows of clients that are connected, as they see it, and not accepted yet.
    queue = select.poll()
    queue.register(listener, select.POLLIN)
    began_on = changed_on = time.monotonic()
    seen = count_arrivals()
    while True:
        await asyncio.sleep(quiet / 10)
        now, before, seen = time.monotonic(), seen, count_arrivals()
        if seen != before or queue.poll(0):
            changed_on = now
        is_long = now - began_on >= longest and not queue.poll(0)
        if now - changed_on >= quiet or is_long or now - began_on >= 2 * longest:
            return


async def wait_until_asked(connections: Connections, longest: float) -> None:
    """Return when every connection has sent a request, or after `longest` seconds."""
    for _ in range(_LOOKS):
        if not connections.has_silent:
            break
        await asyncio.sleep(longest / _LOOKS)
