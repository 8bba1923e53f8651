"""The protocol of a connection: what aiohttp leaves to us.

What is no HTTP is answered here, before there is a request, an application or a middleware. aiohttp
would quote the malformed line with the credentials in it, and name itself and its version. And a
handler that only waits is ended when its client has gone.

Plain exchanges are answered here too (`web.shortcut`), as long as nothing else has come on the
connection: of anything else aiohttp may have read a part, so from then on it reads everything.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web

from tokensvc.web.problems import NO_STORE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tokensvc.web.connections import Connections
    from tokensvc.web.plain_request import PlainRequest
    from tokensvc.web.shortcut import Shortcut
    from tokensvc.web.whole_answer import WholeAnswer


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
        self.shortcut: Shortcut | None = None

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
    """One connection. `server` is the one that it came to."""

    __slots__ = (
        "_answered_on", "_answering", "_is_usual", "_rest", "_server", "begun_on", "when_gone"
    )  # fmt: skip

    def __init__(self, server: Server, **options: Any) -> None:  # noqa: ANN401 - aiohttp's own
        super().__init__(server, **options)
        self.when_gone: Callable[[], object] | None = None
        # When the wait for a whole header began; None if no header has begun. A new connection
        # waits for its first one.
        self.begun_on: float | None = time.monotonic()
        self._server = server
        self._is_usual = False  # whether aiohttp reads what comes
        self._answering: asyncio.Task[None] | None = None  # a plain exchange
        self._answered_on: float | None = None  # when the last one was
        self._rest = b""  # what came while an exchange was being answered

    @property
    def is_at_work(self) -> bool:
        """Whether a request is being answered."""
        return self._answering is not None or self._request_in_progress

    @property
    def has_asked(self) -> bool:
        """Whether any request has come."""
        return bool(self._answering or self._answered_on or self._request_count)

    @property
    def idle_since(self) -> float | None:
        """When the last plain exchange was answered, by the monotonic clock.

        None if there was none, while one is being answered, and from the first request on that
        aiohttp has read: it has a timer of its own.
        """
        return None if self._answering is not None or self._request_count else self._answered_on

    def data_received(self, data: bytes) -> None:
        """Begin to answer a plain exchange; let aiohttp read anything else."""
        if self._answering is not None:  # a client that does not wait for its answers
            self._keep(data)
            return
        shortcut = self._server.shortcut
        request = None if shortcut is None else self._read_plain(shortcut, data)
        if shortcut is None or request is None:
            self._is_usual = True
            super().data_received(data)
            self._note_header()
            return
        self.begun_on = None
        if self._answered_on is None:
            self.keep_alive(True)  # it ends aiohttp's timer: `Connections` looks at `idle_since`
        # aiohttp counts what it reads. A process that leaves waits until this number stands still.
        self._server.requests_count += 1
        self._answering = asyncio.create_task(self._answer(shortcut.answer_plain(request)))

    def _note_header(self) -> None:
        """Note whether the header of a request is whole."""
        if self._messages or self._request_in_progress:
            self.begun_on = None
        elif self.begun_on is None:
            self.begun_on = time.monotonic()

    def _read_plain(self, shortcut: Shortcut, data: bytes) -> PlainRequest | None:
        if self._is_usual or self.writing_paused:  # aiohttp waits for clients that read slowly
            return None
        # A client of a Unix socket has no address.
        peer = self.peername
        return shortcut.read(data, str(peer[0]) if isinstance(peer, tuple) else str(peer or ""))

    async def _answer(self, answer: Awaitable[WholeAnswer]) -> None:
        try:
            given = await answer
            text = given.build()
        except BaseException:
            if self.transport is not None:  # nothing else would ever close the connection
                self.transport.abort()
            raise
        finally:
            self._answering = None
        self._answered_on = time.monotonic()
        if self.transport is None or self.transport.is_closing():
            return
        self.transport.write(text)
        if given.is_last:  # the process leaves
            self.transport.close()
        elif self._rest and not self.transport.is_closing():  # the write shows whether it has gone
            rest, self._rest = self._rest, b""
            self.transport.resume_reading()
            self.data_received(rest)

    def _keep(self, data: bytes) -> None:
        """Keep what has come too early, and read no more until it is its turn."""
        if not self._rest and self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()
        self._rest += data

    async def shutdown(self, timeout: float | None = 15.0) -> None:  # noqa: ASYNC109 - aiohttp's
        """Close the connection; wait for its exchange first, as aiohttp does for its requests."""
        if self._answering is not None:
            await asyncio.wait({self._answering}, timeout=timeout)
        await super().shutdown(timeout)

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
