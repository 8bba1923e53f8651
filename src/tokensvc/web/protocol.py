"""The protocol of a connection: what aiohttp leaves to us.

What is no HTTP is answered here, before there is a request, an application or a middleware. aiohttp
would quote the malformed line with the credentials in it, and name itself and its version. And a
handler that only waits is ended when its client has gone.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web

from tokensvc.web.problems import NO_STORE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tokensvc.web.connections import Connections


class Server(web.Server):
    """The server of aiohttp, with our protocol, and with limits for connections."""

    def __init__(
        self,
        *arguments: Any,  # noqa: ANN401 - aiohttp's own
        watched: Connections,
        **options: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(*arguments, **options)
        self.watched = watched

    def __call__(self) -> web.RequestHandler:
        """Return the protocol of one connection."""
        return Protocol(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Note a new connection."""
        super().connection_made(handler, transport)
        self.watched.add(cast("Protocol", handler), transport)

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        """Forget a connection."""
        super().connection_lost(handler, exc)
        self.watched.remove(cast("Protocol", handler))

    @classmethod
    def like(cls, server: web.Server, watched: Connections) -> Server:
        """Return a server that handles requests as `server` does."""
        return cls(
            server.request_handler,
            request_factory=server.request_factory,
            loop=server._loop,  # noqa: SLF001 - aiohttp offers no other way
            watched=watched,
            **server._kwargs,  # noqa: SLF001
        )


class Protocol(web.RequestHandler):
    """What handles the requests of one connection."""

    __slots__ = ("begun_on", "when_gone")

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - aiohttp's own
        super().__init__(*arguments, **options)
        self.when_gone: Callable[[], object] | None = None
        # Since when a request, or the first one, is waited for whose header is not whole yet.
        self.begun_on: float | None = time.monotonic()

    def data_received(self, data: bytes) -> None:
        """Take what a client sends, and note whether the header of a request is whole."""
        super().data_received(data)
        if self._messages or self._request_in_progress:
            self.begun_on = None
        elif self.begun_on is None:
            self.begun_on = time.monotonic()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End what only this client waits for."""
        super().connection_lost(exc)
        if self.when_gone is not None:
            self.when_gone()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer with a constant text, and never with what was sent."""
        # For its log line, and because it checks whether an answer was begun already.
        super().handle_error(request, status, exc, message)
        body = {"error": "invalid_request", "error_description": "the request is malformed"}
        response = web.json_response(body, status=status, headers=NO_STORE | {"Server": "tokensvc"})
        response.force_close()
        return response


@contextmanager
def cancelled_when_gone(request: web.Request) -> Iterator[None]:
    """Cancel the handler of a request if its connection ends within the block.

    aiohttp would let it go on. That is right for what changes something, and wrong for what only
    waits. Under another server than ours nothing is cancelled.
    """
    protocol, handling = request.protocol, asyncio.current_task()
    if not isinstance(protocol, Protocol) or handling is None:
        yield
        return
    protocol.when_gone = handling.cancel
    try:
        yield
    finally:
        protocol.when_gone = None
