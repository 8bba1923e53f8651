"""How many requests are being answered, so that a process that stops can wait for them."""

from __future__ import annotations

import asyncio


class InFlight:
    """Counts the requests that are being answered, from their headers on.

    `is_draining`: the process is leaving, so each connection is closed after its next answer.
    """

    def __init__(self) -> None:
        self._count = 0
        self.is_draining = False
        self._none = asyncio.Event()
        self._none.set()

    def __enter__(self) -> None:
        """Count one request for the length of the block."""
        if not self._count:
            self._none.clear()
        self._count += 1

    def __exit__(self, *_: object) -> None:
        """Stop counting a request that has been answered."""
        self._count -= 1
        if self._count == 0:
            self._none.set()

    async def wait_until_none(self) -> None:
        """Return when no request is being answered."""
        await self._none.wait()
