"""One process that serves: it answers at once, opens its service meanwhile, and drains at the end.

Until the service is open, `/livez` answers 200 and everything else 503.

To drain is to go on accepting connections until no new request has come for a second, because
clients may have begun to connect, and because others have not heard yet that this process leaves.
Each connection is closed after its next answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from tokensvc.web.accepting import Site
from tokensvc.web.admin_port import AdminPort
from tokensvc.web.app_keys import IN_FLIGHT, SERVICE
from tokensvc.web.connections import Connections, find_most_connections
from tokensvc.web.draining import wait_until_asked, wait_until_quiet
from tokensvc.web.limit_log import LimitLog
from tokensvc.web.metrics_page import build_metrics_app
from tokensvc.web.opening import Opening
from tokensvc.web.protocol import Server
from tokensvc.web.starting import build_starting_app

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    from tokensvc.issuer.admin.api_keys import NewKey
    from tokensvc.settings import Settings
    from tokensvc.web.shared_start import SharedStart

    _Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

# A scraper that does not read must not hold up the end. Requests of operations are waited for
# before.
_LAST_SHUTDOWN_SECONDS: Final = 0.5
MOST_SCRAPERS: Final = 100  # connections to the port of the metrics
_QUIET_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPorts:
    """The sockets of what has a port of its own. None: it is served on the port of the service."""

    metrics: socket.socket | None = None
    operations: socket.socket | None = None


NO_PORTS: Final = OwnPorts()


class ServiceRunner(web.BaseRunner):
    """Runs the service of one process. `greet` shows the admin key of the very first start."""

    # There are several of aiohttp's servers. This runner's own has the port. Until all workers
    # serve, it passes each request to the one of the application that says "starting"; after that,
    # to the one of the service. The port of the operations does the same with an application of its
    # own. Another server has the port of the metrics.

    def __init__(
        self,
        settings: Settings,
        database_url: str,
        start: SharedStart,
        greet: Callable[[NewKey], None],
        own_ports: OwnPorts = NO_PORTS,
    ) -> None:
        super().__init__(shutdown_timeout=settings.drain_seconds)
        self._drain_seconds = settings.drain_seconds
        self._keepalive_seconds = settings.keepalive_seconds
        self._start = start
        limited = LimitLog()
        self._opening = Opening(settings, database_url, start, greet, limited)
        self._connections = Connections(
            limited,
            most=find_most_connections(settings.pool_size),
            keepalive_seconds=settings.keepalive_seconds,
        )
        self._scrapers = Connections(limited, most=MOST_SCRAPERS)
        has_metrics = settings.metrics_port is None
        self._starting = web.AppRunner(build_starting_app(has_metrics=has_metrics), access_log=None)
        self._metrics = _WatchedRunner(
            build_metrics_app(),
            watched=self._scrapers,
            access_log=None,
            shutdown_timeout=_LAST_SHUTDOWN_SECONDS,
            keepalive_timeout=settings.keepalive_seconds,
        )
        self._own_ports = own_ports
        self._admin = AdminPort(
            lambda: self._build_server(self._answer_admin), _LAST_SHUTDOWN_SECONDS
        )
        self._watching: list[asyncio.Task[None]] = []
        self._port: Server | None = None

    @property
    def service_app(self) -> web.Application | None:
        """The application of the service, None until it is open."""
        opened = self._opening.opened
        return None if opened is None else opened.app

    async def open(self, ready: Callable[[], None]) -> None:
        """Open the service as soon as that is possible.

        `ready` is called by one of the workers when they begin to take requests. Raises
        StartRefusedError if the service can never be opened like this.
        """
        opened = await self._opening.open()
        if self._start.note_serving():
            ready()
        # From now on new connections go to the service without the detour by `_answer`.
        _find_server(self).request_handler = _find_server(opened).request_handler
        if self._port is not None:
            self._port.shortcut = self._opening.shortcut

    async def serve(self, listener: socket.socket) -> None:
        """Begin to accept connections."""
        await Site(self, listener).start()
        if self._own_ports.operations is not None:
            await self._admin.setup()
            await Site(self._admin, self._own_ports.operations).start()

    async def drain(self, listener: socket.socket) -> None:
        """Leave: answer what has come and what is still coming, then close everything."""
        seconds = self._drain_seconds
        deadline_on = time.monotonic() + seconds
        in_flight = [app[IN_FLIGHT] for app in (self._starting.app, self.service_app) if app]
        for counter in in_flight:
            counter.is_draining = True
        if self.service_app is not None:
            self.service_app[SERVICE].drain()
        # Half of the time is for clients that still come; the rest is for their last requests.
        quiet = min(_QUIET_SECONDS, seconds / 4)
        await wait_until_quiet(listener, self._count_arrivals, quiet, longest=seconds / 2)
        for site in (*self.sites, *self._admin.sites):
            await site.stop()
        await wait_until_asked(self._connections, longest=quiet)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, deadline_on - time.monotonic())):
                for counter in in_flight:
                    await counter.wait_until_none()
        # For answers that are being written, and for handlers that go on although cancelled.
        self._shutdown_timeout = max(0.5, (deadline_on - time.monotonic()) / 2)
        await self.cleanup()

    async def shutdown(self) -> None:
        """Nothing: the service was told when draining began."""

    async def _make_server(self) -> Server:
        await self._starting.setup()
        if self._own_ports.metrics is not None:
            await self._metrics.setup()
            await Site(self._metrics, self._own_ports.metrics).start()
        watched = (self._connections, self._scrapers)
        self._watching = [asyncio.create_task(connections.watch()) for connections in watched]
        self._port = self._build_server(self._answer)
        return self._port

    def _build_server(self, answer: _Answer) -> Server:
        # The factory of the starting application makes all requests, also those that the service
        # answers in the end.
        return Server(
            answer,
            request_factory=_find_server(self._starting).request_factory,
            watched=self._connections,
            access_log=None,
            keepalive_timeout=self._keepalive_seconds,
        )

    async def _cleanup_server(self) -> None:
        for task in self._watching:
            task.cancel()
        await self._admin.cleanup()
        await self._opening.close()
        await self._starting.cleanup()
        await self._metrics.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer on a connection that was made before the workers served."""
        opened = self._opening.opened if self._start.is_serving else None
        return await _find_server(opened or self._starting).request_handler(request)

    async def _answer_admin(self, request: web.BaseRequest) -> web.StreamResponse:
        """As `_answer`, on the port of the operations, for every connection."""
        opened = self._opening.opened_admin if self._start.is_serving else None
        return await _find_server(opened or self._starting).request_handler(request)

    def _count_arrivals(self) -> tuple[int, int]:
        requests = _find_server(self).requests_count
        if self._admin.server is not None:
            requests += self._admin.server.requests_count
        return self._connections.accepted, requests


class _WatchedRunner(web.AppRunner):
    """Runs an application whose connections are watched like those of the service."""

    def __init__(
        self,
        app: web.Application,
        *,
        watched: Connections,
        **options: Any,  # noqa: ANN401 - aiohttp's own
    ) -> None:
        super().__init__(app, **options)
        self._watched = watched

    async def _make_server(self) -> Server:
        return Server.like(await super()._make_server(), self._watched)


def _find_server(runner: web.BaseRunner) -> web.Server:
    """Return the server of a runner that was set up."""
    if runner.server is None:
        raise RuntimeError("the runner was not set up")
    return runner.server
