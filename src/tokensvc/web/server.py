"""Serving with one process, or with several under gunicorn.

SIGTERM and SIGINT drain: requests that have begun are answered before the process ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
from typing import TYPE_CHECKING, Any, Final

import structlog
import uvloop
from aiohttp import web
from aiohttp.worker import GunicornUVLoopWebWorker
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger
from prometheus_client.multiprocess import mark_process_dead

from tokensvc.core.errors import StartRefusedError
from tokensvc.web.app import build_app
from tokensvc.web.app_keys import IN_FLIGHT, SERVICE
from tokensvc.web.protocol import Server

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from tokensvc.settings import Settings

KEEPALIVE_SECONDS: Final = 15  # also what a client gets to send its headers
_BACKLOG: Final = 1024
_COLLECT_AFTER: Final = 20_000

_log = structlog.get_logger(__name__)


def bind_socket(settings: Settings) -> socket.socket:
    """Bind host and port, before anything else is started. Raises StartRefusedError."""
    return _bind(settings.host, settings.port, "TOKENSVC_PORT")


def bind_metrics_socket(settings: Settings) -> socket.socket | None:
    """As `bind_socket`, for the metrics; None if they have no port of their own."""
    if settings.metrics_port is None:
        return None
    return _bind(settings.host, settings.metrics_port, "TOKENSVC_METRICS_PORT")


def _bind(host: str, port: int, setting: str) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        used = f"cannot listen on {host}:{port}: {_explain(error)}"
        raise StartRefusedError(
            f"{used}. Stop what uses it, or set TOKENSVC_HOST and {setting}"
        ) from error


def _explain(error: OSError) -> str:
    """Return the plain reason, without the address that Python adds to it."""
    # The numbers of a name that cannot be resolved are not those of the operating system.
    if isinstance(error, socket.gaierror) or not error.errno:
        return str(error.strerror)
    return os.strerror(error.errno)


def serve_one(
    settings: Settings,
    database_url: str,
    listener: socket.socket,
    ready: Callable[[], None],
    metrics_listener: socket.socket | None = None,
) -> None:
    """Serve in this process until SIGTERM or SIGINT; call `ready` when requests are taken."""
    uvloop.run(_serve(settings, database_url, listener, ready, metrics_listener))


async def _serve(
    settings: Settings,
    database_url: str,
    listener: socket.socket,
    ready: Callable[[], None],
    metrics_listener: socket.socket | None,
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = _build_runner(settings, database_url, metrics_listener)
    try:
        await runner.setup()
        tune_collector()
        await web.SockSite(runner, listener).start()
        ready()
        await stop.wait()
        _log.info("draining")
    finally:
        await runner.cleanup()


def tune_collector() -> None:
    """Make the garbage collector look more rarely, and never at what lives until the end."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 50)


def serve_many(
    settings: Settings,
    database_url: str,
    listener: socket.socket,
    ready: Callable[[], None],
    workers: int,
    metrics_listener: socket.socket | None = None,
) -> None:
    """Serve with `workers` processes under gunicorn until SIGTERM or SIGINT.

    Calls `ready` when the workers are about to start.
    """
    options = {
        "bind": [f"fd://{listener.fileno()}"],
        "workers": workers,
        "worker_class": "tokensvc.web.server.Worker",
        "logger_class": "tokensvc.web.server.WorkersLog",
        "graceful_timeout": settings.drain_seconds + 5,
        "control_socket_disable": True,
        "loglevel": settings.log_level,
        "when_ready": lambda _arbiter: ready(),
        "child_exit": lambda _arbiter, worker: mark_process_dead(worker.pid),  # type: ignore[no-untyped-call]
    }

    async def build_runner() -> web.AppRunner:
        tune_collector()
        return _build_runner(settings, database_url, metrics_listener)

    _Workers(options, build_runner).run()


class _Workers(BaseApplication):  # type: ignore[misc]
    def __init__(self, options: dict[str, Any], factory: Callable[[], Any]) -> None:
        self._options = options
        self._factory = factory
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Callable[[], Any]:
        return self._factory


class Worker(GunicornUVLoopWebWorker):
    """The worker of aiohttp, but it stops at once after a signal, and not at its next check."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop serving."""
        super().handle_exit(sig, frame)
        self._notify_waiter_done()


class WorkersLog(Logger):  # type: ignore[misc]
    """The log of gunicorn, which is written like all others."""

    def setup(self, cfg: object) -> None:
        """Leave formatting and writing to the root logger."""
        del cfg
        self.error_log.handlers[:] = []
        self.error_log.propagate = True


class _DrainingRunner(web.AppRunner):
    """Waits for requests whose body is still arriving; aiohttp alone would not read it."""

    def __init__(
        self,
        app: web.Application,
        *,
        drain_seconds: float,
        **options: Any,  # noqa: ANN401 - aiohttp's own
    ) -> None:
        super().__init__(app, shutdown_timeout=drain_seconds, **options)
        self._drain_seconds = drain_seconds

    async def _make_server(self) -> Server:
        return Server.like(await super()._make_server())

    async def cleanup(self) -> None:
        for site in list(self.sites):
            await site.stop()
        if SERVICE in self.app:
            self.app[SERVICE].drain()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._drain_seconds):
                    await self.app[IN_FLIGHT].wait_until_none()
        await super().cleanup()


def _build_runner(
    settings: Settings, database_url: str, metrics_listener: socket.socket | None = None
) -> web.AppRunner:
    return _DrainingRunner(
        build_app(settings, database_url, metrics_listener),
        access_log=None,
        keepalive_timeout=KEEPALIVE_SECONDS,
        drain_seconds=settings.drain_seconds,
    )
