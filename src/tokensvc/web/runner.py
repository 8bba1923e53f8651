"""One process that serves: it answers at once, opens its service meanwhile, and drains at the end.

Until the service is open, `/livez` answers 200 and everything else 503. Postgres is tried again
until it answers, once a second at most.

To drain is to go on accepting connections until no new request has come for a second, because
clients may have begun to connect, and because others have not heard yet that this process leaves.
Each connection is closed after its next answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import time
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiohttp import web

from tokensvc.core.errors import StartRefusedError, UnavailableError
from tokensvc.issuer.database import open_primary
from tokensvc.issuer.start import initialise, new_pause
from tokensvc.web.app import build_app
from tokensvc.web.app_keys import IN_FLIGHT, SERVICE
from tokensvc.web.connections import Connections, find_most_connections
from tokensvc.web.limited import Limited
from tokensvc.web.metrics import build_metrics_app
from tokensvc.web.protocol import Server
from tokensvc.web.starting import build_starting_app

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from tokensvc.issuer.admin.api_keys import NewKey
    from tokensvc.settings import Settings
    from tokensvc.web.shared_start import SharedStart

KEEPALIVE_SECONDS: Final = 15  # also what a client gets to send its headers
_METRICS_SHUTDOWN_SECONDS: Final = 0.5  # a scraper that does not read must not hold up the end
MOST_SCRAPERS: Final = 100
_LOOK_SECONDS: Final = 0.1
_QUIET_SECONDS: Final = 1.0
_TOGETHER_SECONDS: Final = 5.0  # how long a worker waits for the others

_log = structlog.get_logger(__name__)


class ServiceRunner(web.BaseRunner):
    """Runs the service of one process.

    `greet` shows the admin key of the very first start. `metrics_listener` is bound to the port of
    the metrics, if they have one of their own.
    """

    def __init__(
        self,
        settings: Settings,
        database_url: str,
        start: SharedStart,
        greet: Callable[[NewKey], None],
        metrics_listener: socket.socket | None = None,
    ) -> None:
        super().__init__(shutdown_timeout=settings.drain_seconds)
        self._settings = settings
        self._database_url = database_url
        self._start = start
        self._greet = greet
        self._limited = Limited()
        self._connections = Connections(
            self._limited, most=find_most_connections(settings.pool_size)
        )
        self._scrapers = Connections(self._limited, most=MOST_SCRAPERS)
        has_metrics = settings.metrics_port is None
        self._starting = web.AppRunner(build_starting_app(has_metrics=has_metrics), access_log=None)
        self._metrics_listener = metrics_listener
        self._metrics = _WatchedRunner(
            build_metrics_app(),
            watched=self._scrapers,
            access_log=None,
            shutdown_timeout=_METRICS_SHUTDOWN_SECONDS,
            keepalive_timeout=KEEPALIVE_SECONDS,
        )
        self._opened: web.AppRunner | None = None
        self._watching: list[asyncio.Task[None]] = []

    @property
    def service_app(self) -> web.Application | None:
        """The application of the service, None until it is open."""
        return None if self._opened is None else self._opened.app

    async def open(self, ready: Callable[[], None]) -> None:
        """Open the service as soon as that is possible.

        `ready` is called by one of the workers when they begin to take requests. Raises
        StartRefusedError if the service can never be opened like this.
        """
        await self._prepare()
        await self._open_service()
        self._start.note_open()
        for _ in range(int(_TOGETHER_SECONDS / _LOOK_SECONDS)):
            if self._start.is_serving or self._start.are_all_open:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        if self._start.note_serving():
            ready()
        server = _find_server(self._opened or self._starting)
        _find_server(self).request_handler = server.request_handler  # no more detour

    async def _open_service(self) -> None:
        while True:
            try:
                await self._open_once()
            except UnavailableError as error:
                _log.warning("waiting_for_database", reason=error.reason)
            except StartRefusedError as error:
                if not self._start.is_serving:
                    raise
                # Others serve, so one that takes the place of a dead worker must not end them all.
                _log.error("waiting_for_a_better_start", reason=error.message)
            else:
                return
            await asyncio.sleep(new_pause())

    async def serve(self, listener: socket.socket) -> None:
        """Begin to accept connections."""
        await web.SockSite(self, listener).start()

    async def drain(self, listener: socket.socket) -> None:
        """Leave: answer what has come and what is still coming, then close everything."""
        seconds = self._settings.drain_seconds
        deadline_on = time.monotonic() + seconds
        in_flight = [app[IN_FLIGHT] for app in (self._starting.app, self.service_app) if app]
        for counter in in_flight:
            counter.is_draining = True
        if self.service_app is not None:
            self.service_app[SERVICE].drain()
        await self._wait_until_quiet(listener, min(_QUIET_SECONDS, seconds / 4), seconds / 2)
        for site in list(self.sites):
            await site.stop()
        await self._wait_until_asked(min(_QUIET_SECONDS, seconds / 4))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, deadline_on - time.monotonic())):
                for counter in in_flight:
                    await counter.wait_until_none()
        # For answers that are being written, and for who ignores that its handler was cancelled.
        self._shutdown_timeout = max(0.5, (deadline_on - time.monotonic()) / 2)
        await self.cleanup()

    async def shutdown(self) -> None:
        """Nothing: the service was told when draining began."""

    async def _make_server(self) -> Server:
        await self._starting.setup()
        if self._metrics_listener is not None:
            await self._metrics.setup()
            await web.SockSite(self._metrics, self._metrics_listener).start()
        server = Server(
            self._answer,
            request_factory=_find_server(self._starting).request_factory,
            watched=self._connections,
            access_log=None,
            keepalive_timeout=KEEPALIVE_SECONDS,
        )
        watched = (self._connections, self._scrapers)
        self._watching = [asyncio.create_task(connections.watch()) for connections in watched]
        return server

    async def _cleanup_server(self) -> None:
        for task in self._watching:
            task.cancel()
        if self._opened is not None:
            await self._opened.cleanup()
        await self._starting.cleanup()
        await self._metrics.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer on a connection that was made before the workers served."""
        opened = self._opened if self._start.is_serving else None
        return await _find_server(opened or self._starting).request_handler(request)

    async def _prepare(self) -> None:
        """Return when database and keys are prepared, by this worker or by another one."""
        while not self._start.is_prepared:
            if not self._start.take_turn():
                await asyncio.sleep(_LOOK_SECONDS)
                continue
            try:
                if not self._start.is_prepared:  # or another worker was faster
                    await self._initialise()
                    self._start.note_prepared()
            except UnavailableError as error:
                _log.warning("waiting_for_database", reason=error.reason)
                await asyncio.sleep(new_pause())
            finally:
                self._start.end_turn()

    async def _initialise(self) -> None:
        database = await open_primary(self._settings, self._database_url, max_size=2)
        try:
            await initialise(database, self._settings, self._greet, default_wait=float("inf"))
        finally:
            await database.close()

    async def _open_once(self) -> None:
        app = build_app(self._settings, self._database_url, self._limited)
        runner = web.AppRunner(app, access_log=None)
        try:
            await runner.setup()
        except BaseException:
            await runner.cleanup()
            raise
        self._opened = runner

    async def _wait_until_quiet(
        self, listener: socket.socket, quiet: float, longest: float
    ) -> None:
        """Return when nothing new has come for `quiet` seconds, or after `longest`."""
        queue = select.poll()
        queue.register(listener, select.POLLIN)
        began_on = changed_on = time.monotonic()
        seen = self._count_arrivals()
        while True:
            await asyncio.sleep(quiet / 10)
            now, before, seen = time.monotonic(), seen, self._count_arrivals()
            if seen != before or queue.poll(0):
                changed_on = now
            is_long = now - began_on >= longest and not queue.poll(0)
            if now - changed_on >= quiet or is_long or now - began_on >= 2 * longest:
                return

    async def _wait_until_asked(self, longest: float) -> None:
        """Return when every connection has sent a request, or after `longest` seconds."""
        for _ in range(20):
            if not self._connections.has_silent:
                break
            await asyncio.sleep(longest / 20)

    def _count_arrivals(self) -> tuple[int, int]:
        return self._connections.accepted, _find_server(self).requests_count


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
