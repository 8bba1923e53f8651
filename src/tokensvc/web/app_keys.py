"""What application and request carry, under typed keys."""

from __future__ import annotations

import asyncio

from aiohttp import web

from tokensvc.issuer.service import Service


class InFlight:
    """Counts the requests that are being answered, from their headers on."""

    def __init__(self) -> None:
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()

    def __enter__(self) -> None:
        """Count one request for the length of the block."""
        self._count += 1
        self._none.clear()

    def __exit__(self, *_: object) -> None:
        """The request has been answered."""
        self._count -= 1
        if self._count == 0:
            self._none.set()

    async def wait_until_none(self) -> None:
        """Return when no request is being answered."""
        await self._none.wait()


SERVICE = web.AppKey("service", Service)
IN_FLIGHT = web.AppKey("in_flight", InFlight)
FACTS: web.RequestKey[dict[str, object]] = web.RequestKey("facts", dict)  # for the log line
CALLER = web.RequestKey(
    "caller", str
)  # the id of the API key that an authenticated request belongs to
CHALLENGE = web.RequestKey("challenge", str)  # the authentication scheme that was tried
