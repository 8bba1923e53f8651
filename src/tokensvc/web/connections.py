"""The connections of one process: how many there may be, and who does not read its answers.

Beyond the limit, the oldest connection without a request in work is closed, so that the operating
system never lacks a descriptor for a new one. A connection is closed as well if its client takes
nothing, or next to nothing, of its answer for 15 seconds, or sends no whole header in that time.
Idle connections that aiohttp reads are closed by aiohttp. Those that have sent nothing but plain
exchanges are closed here.
"""

from __future__ import annotations

import asyncio
import resource
import time
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokensvc.web.limit_log import LimitLog
    from tokensvc.web.protocol import Protocol

LOOK_SECONDS: Final = 2.5
_PATIENCE_SECONDS: Final = 12.5  # with the time until the next look, 15
_LEAST_READ_BYTES: Final = 65_536  # in that time, or everything
_LOOKED_AT: Final = 100  # connections without a pause
_KEPT_DESCRIPTORS: Final = 64  # for logs, libraries, and connections to Postgres beside the pool


class _Unread(NamedTuple):
    waiting_bytes: int
    since: float


class Connections:
    """The open connections; `most` of them may be open at once.

    One that has only sent plain exchanges is closed after `keepalive_seconds` without another.
    """

    def __init__(self, limited: LimitLog, *, most: int, keepalive_seconds: float = 15.0) -> None:
        self._limited = limited
        self._keepalive_seconds = keepalive_seconds
        self._most = most
        self._transports: dict[Protocol, asyncio.Transport] = {}
        self._unread: dict[Protocol, _Unread] = {}
        self.accepted = 0

    def add(self, handler: Protocol, transport: asyncio.Transport) -> None:
        """Note a new connection; close another one if there are too many."""
        self.accepted += 1
        if len(self._transports) >= self._most:
            self._close_idle()
        self._transports[handler] = transport

    def remove(self, handler: Protocol) -> None:
        """Forget a connection that has ended."""
        self._transports.pop(handler, None)
        self._unread.pop(handler, None)

    @property
    def has_silent(self) -> bool:
        """Whether there is a connection on which no request has come yet."""
        return any(not handler.has_asked for handler in self._transports)

    async def watch(self) -> None:
        """Look for clients that neither read nor ask, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for _ in self._look_in_steps(time.monotonic()):
                await asyncio.sleep(0)

    def look_once(self, now: float) -> None:
        """Close every connection whose client has not read, or not asked, for too long."""
        for _ in self._look_in_steps(now):
            pass

    def _look_in_steps(self, now: float) -> Iterator[None]:
        """Do as `look_once`, and stop after a number of connections, so that others can go on."""
        for number, (handler, transport) in enumerate(list(self._transports.items()), 1):
            # It may have ended while others went on.
            if handler in self._transports:
                self._look_at(handler, transport, now)
            if number % _LOOKED_AT == 0:
                yield

    def _look_at(self, handler: Protocol, transport: asyncio.Transport, now: float) -> None:
        begun_on, idle_since = handler.begun_on, handler.idle_since
        if begun_on is not None and now - begun_on > _PATIENCE_SECONDS:
            transport.abort()
            return
        waiting = transport.get_write_buffer_size()
        if not waiting:
            self._unread.pop(handler, None)
            if idle_since is not None and now - idle_since > self._keepalive_seconds:
                transport.close()
            return
        unread = self._unread.setdefault(handler, _Unread(waiting, now))
        if now - unread.since < _PATIENCE_SECONDS:
            return
        # It reads slowly, but it reads: the time begins anew.
        if waiting <= unread.waiting_bytes - _LEAST_READ_BYTES:
            self._unread[handler] = _Unread(waiting, now)
            return
        # `abort` and not `close`, which would wait until everything has been sent.
        self._limited.note("unread_answer")
        transport.abort()

    def _close_idle(self) -> None:
        """Close a connection that has sent no request, else an idle one: the oldest of a few.

        Only a few are looked at, because this is done for each new connection. Those in work go to
        the end of the row, so that the next look meets others.
        """
        idle = []
        for handler in list(islice(self._transports, _LOOKED_AT)):
            if handler.is_at_work:
                self._transports[handler] = self._transports.pop(handler)
            else:
                idle.append(handler)
        silent = (handler for handler in idle if not handler.has_asked)
        oldest = next(silent, idle[0] if idle else None)
        if oldest is not None:
            self._limited.note("connections")
            self._transports.pop(oldest).abort()


def find_most_connections(pool_size: int) -> int:
    """Return how many connections of clients leave enough descriptors for all else."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        # That is more than are ever open.
        soft = 1_000_000
    return max(16, soft - pool_size - _KEPT_DESCRIPTORS)
