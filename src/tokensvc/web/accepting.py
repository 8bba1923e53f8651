"""Accepting connections, several in each round of the event loop.

libuv accepts one in a round. A busy process needs some milliseconds for a round, so of a crowd of
new clients the last ones would wait for seconds until they are heard at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final

from aiohttp import web

from tokensvc.logs.logger import get_logger

BACKLOG: Final = 1024  # clients that may wait to be accepted
# Few enough that workers which share a listener get about as many connections each.
_AT_ONCE: Final = 16
# The kernel would take megabytes of an answer that its client does not read. What it does not take
# stays in the process, where `Connections` sees that nobody reads it.
_MOST_UNSENT_BYTES: Final = 16_384
_PAUSE_SECONDS: Final = 1.0  # after the operating system has refused a connection

_log = get_logger(__name__)


class Site(web.BaseSite):
    """A listener of a runner, which it closes at the end."""

    def __init__(self, runner: web.BaseRunner, listener: socket.socket) -> None:
        super().__init__(runner)
        self._listener = listener
        self._begun: set[asyncio.Task[None]] = set()
        self._resuming: asyncio.TimerHandle | None = None

    @property
    def name(self) -> str:
        """The address."""
        return str(self._listener.getsockname())

    async def start(self) -> None:
        """Begin to accept connections."""
        await super().start()
        self._listener.setblocking(False)
        # All that are accepted have it too.
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _MOST_UNSENT_BYTES)
        self._listener.listen(BACKLOG)
        self._resume()

    async def stop(self) -> None:
        """Accept those who are connected already, and close the listener.

        When this returns, the server has all connections that were accepted. The operating system
        would reset those in the queue, and nobody would wait for the requests of the others.
        """
        if self._resuming is not None:
            self._resuming.cancel()
        asyncio.get_running_loop().remove_reader(self._listener)
        with contextlib.suppress(OSError):  # no descriptor is left for them
            self._accept(most=BACKLOG)
        self._listener.close()
        if self._begun:
            await asyncio.wait(self._begun)
        await super().stop()

    def _resume(self) -> None:
        self._resuming = None
        asyncio.get_running_loop().add_reader(self._listener, self._accept_some)

    def _accept_some(self) -> None:
        try:
            self._accept(most=_AT_ONCE)
        except OSError as error:  # there is no descriptor left, or no memory
            _log.warning("connection_not_accepted", error=str(error))
            loop = asyncio.get_running_loop()
            # The client still waits in the queue, so the loop would call this again without a
            # pause.
            loop.remove_reader(self._listener)
            self._resuming = loop.call_later(_PAUSE_SECONDS, self._resume)

    def _accept(self, *, most: int) -> None:
        """Accept `most` connections, or all that wait if they are fewer."""
        for _ in range(most):
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return  # nobody waits, or another worker was quicker
            except ConnectionAbortedError:
                continue  # this client has gone, and others may wait behind it
            connection.setblocking(False)
            task = asyncio.get_running_loop().create_task(self._begin(connection))
            self._begun.add(task)
            task.add_done_callback(self._begun.discard)

    async def _begin(self, connection: socket.socket) -> None:
        loop, server = asyncio.get_running_loop(), self._runner.server
        try:
            if server is not None:
                await loop.connect_accepted_socket(server, connection)
        except OSError:  # the client has gone already
            connection.close()
