"""Serving with one process, or with several under gunicorn.

SIGTERM, SIGINT and SIGHUP drain: `web.runner` says how. SIGUSR1 and SIGUSR2 are ignored.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog
import uvloop
from aiohttp.worker import GunicornUVLoopWebWorker
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from prometheus_client.multiprocess import mark_process_dead

from tokensvc.core.errors import StartRefusedError
from tokensvc.web.runner import ServiceRunner
from tokensvc.web.shared_start import SharedStart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from tokensvc.issuer.admin.api_keys import NewKey
    from tokensvc.settings import Settings

_BACKLOG: Final = 1024
_COLLECT_AFTER: Final = 20_000
_HEARTBEAT_SECONDS: Final = 1.0
_OTHERS_SERVE_SECONDS: Final = 5.0  # then it answers 503: they may all have died
_STOPPING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_IGNORED: Final = (signal.SIGUSR1, signal.SIGUSR2)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcements:
    """What the operator is told: the admin key of the first start, and that requests are taken."""

    first_admin: Callable[[NewKey], None]
    ready: Callable[[], None]


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


@contextmanager
def signals_before_serving() -> Iterator[None]:
    """End at once when told to stop, as long as nobody is served yet. Ctrl-C does so anyway."""
    stopping = (n for n in list_stopping_signals() if n != signal.SIGINT)
    handlers: dict[signal.Signals, Callable[..., object]] = {
        **dict.fromkeys(stopping, lambda *_: sys.exit(0)),
        # Not SIG_IGN, which the programs of Postgres would inherit.
        **dict.fromkeys(_IGNORED, lambda *_: None),
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def list_stopping_signals() -> tuple[signal.Signals, ...]:
    """Return what stops the service. Under nohup a terminal that closes does not."""
    under_nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return tuple(n for n in _STOPPING if not (under_nohup and n == signal.SIGHUP))


def serve_one(
    settings: Settings,
    database_url: str,
    listener: socket.socket,
    announcements: Announcements,
    metrics_listener: socket.socket | None = None,
) -> None:
    """Serve in this process until it is told to stop. Raises StartRefusedError."""
    uvloop.run(_serve_one(settings, database_url, listener, announcements, metrics_listener))


async def _serve_one(
    settings: Settings,
    database_url: str,
    listener: socket.socket,
    announcements: Announcements,
    metrics_listener: socket.socket | None,
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in list_stopping_signals():
        loop.add_signal_handler(number, stop.set)
    with SharedStart() as start:
        runner = ServiceRunner(
            settings, database_url, start, announcements.first_admin, metrics_listener
        )
        await _serve(runner, listener, announcements, stop, others_serve=False)


async def _serve(
    runner: ServiceRunner,
    listener: socket.socket,
    announcements: Announcements,
    stop: asyncio.Event,
    *,
    others_serve: bool,
) -> None:
    """Serve until `stop` is set. Raises StartRefusedError if the service cannot be opened.

    `others_serve`: leave new connections to the other workers until the service is open here.
    """
    await runner.setup()
    opening = asyncio.create_task(_open(runner, announcements))
    stopping = asyncio.create_task(stop.wait())
    try:
        if others_serve:
            await asyncio.wait(
                {opening, stopping},
                timeout=_OTHERS_SERVE_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
        await runner.serve(listener)
        await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if opening.done():
            opening.result()
            await stopping
        _log.info("draining")
    finally:
        stopping.cancel()
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        await runner.drain(listener)


async def _open(runner: ServiceRunner, announcements: Announcements) -> None:
    await runner.open(announcements.ready)
    tune_collector()


def tune_collector() -> None:
    """Make the garbage collector look more rarely, and never at what lives until the end."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 50)


def _forget_worker(_arbiter: object, worker: Any) -> None:  # noqa: ANN401 - gunicorn's own
    """Take a worker that has ended out of the metrics."""
    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def serve_many(
    settings: Settings,
    database_url: str,
    listener: socket.socket,
    announcements: Announcements,
    workers: int,
    metrics_listener: socket.socket | None = None,
) -> None:
    """Serve with `workers` processes under gunicorn until it is told to stop.

    Raises StartRefusedError.
    """
    owner = os.getpid()
    options = {
        "bind": [f"fd://{listener.detach()}"],  # gunicorn copies it, and closes this one
        "workers": workers,
        "worker_class": "tokensvc.web.server.Worker",
        "logger_class": "tokensvc.web.server.WorkersLog",
        "graceful_timeout": settings.drain_seconds + 5,
        "control_socket_disable": True,
        "loglevel": settings.log_level,
        "child_exit": _forget_worker,
    }

    with SharedStart(workers) as start:

        async def serve(listener: socket.socket, stop: asyncio.Event) -> None:
            runner = ServiceRunner(
                settings, database_url, start, announcements.first_admin, metrics_listener
            )
            others_serve = start.is_serving
            try:
                await _serve(runner, listener, announcements, stop, others_serve=others_serve)
            except StartRefusedError as error:
                start.note_refusal(error.message)
                sys.exit(Arbiter.WORKER_BOOT_ERROR)

        try:
            _Workers(options, serve).run()
        except SystemExit:
            if os.getpid() == owner and start.refusal is not None:
                raise StartRefusedError(start.refusal) from None
            raise


class _Workers(BaseApplication):  # type: ignore[misc]
    def __init__(self, options: dict[str, Any], serve: Callable[..., Any]) -> None:
        self._options = options
        self._serve = serve
        # Asked now, because gunicorn sets handlers of its own before it starts workers.
        self.stopping = list_stopping_signals()
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Callable[..., Any]:
        return self._serve

    def run(self) -> None:
        _Master(self).run()


class _Master(Arbiter):  # type: ignore[misc]
    """The master of gunicorn. No signal makes it reload, or start a second master."""

    def __init__(self, app: _Workers) -> None:
        self._stopping = app.stopping
        super().__init__(app)

    def handle_hup(self) -> None:
        """Drain, as on SIGTERM."""
        if signal.SIGHUP in self._stopping:
            self.handle_term()

    def handle_usr1(self) -> None:
        """Do nothing."""

    def handle_usr2(self) -> None:
        """Do nothing."""


class Worker(GunicornUVLoopWebWorker):
    """One process of several."""

    def init_signals(self) -> None:
        """Let every signal that ends the service, and gunicorn's own, drain this worker."""
        self._stop = asyncio.Event()
        for number in (*self.app.stopping, signal.SIGQUIT):
            self.loop.add_signal_handler(number, self._stop.set)
        if signal.SIGHUP not in self.app.stopping:  # the master leaves its own handler
            signal.signal(signal.SIGHUP, lambda *_: None)
        self.loop.add_signal_handler(signal.SIGABRT, self.handle_abort, signal.SIGABRT, None)
        for number in _IGNORED:
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop serving."""
        del sig, frame
        self._stop.set()

    async def _run(self) -> None:
        self.booted = True
        beating = asyncio.create_task(self._beat())
        (listener,) = self.sockets
        try:
            await self.wsgi(listener.sock, self._stop)
        finally:
            beating.cancel()

    async def _beat(self) -> None:
        """Tell the master that this worker lives, and stop when the master has gone."""
        while True:
            self.notify()
            if self.ppid != os.getppid():
                self._stop.set()
            await asyncio.sleep(_HEARTBEAT_SECONDS)


class WorkersLog(Logger):  # type: ignore[misc]
    """The log of gunicorn, which is written like all others."""

    def setup(self, cfg: object) -> None:
        """Leave formatting and writing to the root logger."""
        del cfg
        self.error_log.handlers[:] = []
        self.error_log.propagate = True
