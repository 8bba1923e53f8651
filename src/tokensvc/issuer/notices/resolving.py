"""Where a host name leads: asked once, in threads of its own.

A name server that does not answer holds a thread for a long time, and whoever adds an endpoint
chooses the name server. So nothing else waits for these threads.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Final

_THREADS: Final = 24


class Resolver:
    """Asks the resolver of the system, which also understands numbers (`0x7f.1`)."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="notice-names")

    async def __call__(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host, in the order to be tried. Raises OSError."""
        found = await asyncio.get_running_loop().run_in_executor(self._threads, _ask, host, port)
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    def close(self) -> None:
        """Ask nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _ask(host: str, port: int) -> list[tuple[object, object, int, str, tuple[object, ...]]]:
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
