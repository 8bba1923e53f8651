"""Several processes under gunicorn: the master, its workers, and their log."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any, Final

from aiohttp.worker import GunicornUVLoopWebWorker
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer
from gunicorn.glogging import Logger
from prometheus_client.multiprocess import mark_process_dead

from tokensvc.web.metrics_page import FOLDER
from tokensvc.web.signals import IGNORED, list_stopping_signals

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

BOOT_ERROR: Final[int] = Arbiter.WORKER_BOOT_ERROR
_HEARTBEAT_SECONDS: Final = 1.0


class Workers(BaseApplication):  # type: ignore[misc]
    """The workers of one service. Each calls `serve` with a listener and an event that stops it."""

    def __init__(
        self,
        serve: Callable[..., Any],
        *,
        listener: int,
        count: int,
        drain: int,
        log_level: str,
    ) -> None:
        self._options: dict[str, Any] = {
            "bind": [f"fd://{listener}"],
            "workers": count,
            "worker_class": "tokensvc.web.workers.Worker",
            "logger_class": "tokensvc.web.workers.WorkersLog",
            # The worker itself gives up first, so that gunicorn need not kill it.
            "graceful_timeout": drain + 5,
            # The socket would be one more way to change or stop the service, and nobody needs it.
            "control_socket_disable": True,
            # The files of the heartbeat lie where the metrics lie: there it is known that files can
            # be made.
            "worker_tmp_dir": os.environ.get(FOLDER),
            "loglevel": log_level,
            "child_exit": _forget_worker,
        }
        self._serve = serve
        # Asked now, because gunicorn sets handlers of its own before it starts workers.
        self.stopping = list_stopping_signals()
        super().__init__()

    def load_config(self) -> None:
        """Hand the options to gunicorn."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Callable[..., Any]:
        """Return what a worker runs."""
        return self._serve

    def run(self) -> None:
        """Run until told to stop."""
        _Master(self).run()


class _Master(Arbiter):  # type: ignore[misc]
    """The master of gunicorn. No signal makes it reload, or start a second master."""

    def __init__(self, app: Workers) -> None:
        self._stopping = app.stopping
        super().__init__(app)

    def stop(self, graceful: bool = True) -> None:  # noqa: FBT001, FBT002 - as gunicorn has it
        """Stop all workers. If another one cannot start meanwhile either, go on stopping."""
        try:
            super().stop(graceful)
        except HaltServer:
            self.stop(graceful)

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
        for number in IGNORED:
            signal.signal(number, lambda *_: None)
        # The handler of the master would take the exit codes of what this process starts.
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
            # What gunicorn takes for an application is `serve` of `Workers`.
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


def _forget_worker(_arbiter: object, worker: Any) -> None:  # noqa: ANN401 - gunicorn's own
    """Take a worker that has ended out of the metrics."""
    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
