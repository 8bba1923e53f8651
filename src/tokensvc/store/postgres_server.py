"""The server process of a private Postgres: started, found again, and stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tokensvc.core.errors import StartRefusedError
from tokensvc.logs.logger import get_logger
from tokensvc.store.private_file import open_private

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokensvc.store.postgres_home import Home

PORT: Final = 5432  # it names the socket's file; no port is opened
_PATIENCE: Final = 30.0
_POLL: Final = 0.02
_TRIES: Final = 10
_BETWEEN_TRIES: Final = 0.5
# Its log tells no parameters of statements: some are digests of keys, or sealed secrets.
_OPTIONS: Final = ("listen_addresses=", f"port={PORT}", "log_parameter_max_length_on_error=0")

_log = get_logger(__name__)


class PostgresServer:
    """The server of one home, which may have been started by another process.

    `patience`: how many seconds it may take to start, and to stop.
    """

    def __init__(self, home: Home, log_file: Path, *, patience: float = _PATIENCE) -> None:
        self._home = home
        self._log_file = log_file
        self._patience = patience
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def process_id(self) -> int | None:
        """The process id of the server that runs on this home, None if none does."""
        status = self._read_status()
        if not status or not status[0].isdecimal():
            return None
        process_id = int(status[0])
        process = Path(f"/proc/{process_id}")
        data = self._home.data
        try:
            # The number may be another process's by now. A server runs as its user, and its
            # working folder is its data folder.
            is_ours = (
                process.stat().st_uid == self._home.uid
                and (process / "cwd").readlink() == data.resolve()
                and not data.is_symlink()
            )
        except OSError:
            return None
        return process_id if is_ours else None

    def launch(self, binaries: Path, options: Sequence[str]) -> None:
        """Start the server; return when it takes connections.

        It is tried again, because the remains of one that was killed may be just going away. Raises
        StartRefusedError.
        """
        for _ in range(_TRIES):
            child = self._child = self._spawn(binaries, options)
            if self._is_ready_in_time(child):
                # A thread waits for its end: otherwise, if it is killed, it stays as a zombie. To
                # Postgres that is a server that still runs, and no other server starts.
                threading.Thread(target=child.wait, name="tokensvc-postgres", daemon=True).start()
                return
            time.sleep(_BETWEEN_TRIES)
        raise StartRefusedError(f"Postgres did not start; see {self._log_file}")

    def shut_down(self) -> None:
        """Stop the server if it runs.

        One that takes too long to write everything to disk is stopped without that. Then it does so
        at its next start, from its log of changes, and loses nothing.
        """
        process_id = self.process_id
        if process_id is None:
            return
        # To Postgres: end the sessions, do not wait for them.
        if self._has_ended_after(signal.SIGINT, process_id):
            return
        seconds = self._patience
        _log.warning("postgres_stops_slowly", seconds=seconds, detail="it is stopped at once")
        # To Postgres: end at once.
        if not self._has_ended_after(signal.SIGQUIT, process_id):
            _log.error("postgres_still_runs", process_id=process_id, log=str(self._log_file))

    def _has_ended_after(self, told: signal.Signals, process_id: int) -> bool:
        """Send a signal to the server; return whether it has ended in time."""
        deadline = time.monotonic() + self._patience
        with contextlib.suppress(ProcessLookupError):
            os.kill(process_id, told)
        # It may be the child of another process, so its end is told by its file, which it removes
        # last.
        while self.process_id == process_id:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL)
        if self._child is not None and self._child.pid == process_id:
            try:
                self._child.wait(timeout=max(_POLL, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                return False
        return True

    def _spawn(self, binaries: Path, options: Sequence[str]) -> subprocess.Popen[bytes]:
        home = self._home
        command: list[str | Path] = [binaries / "postgres", "-D", home.data, "-k", home.socket]
        for option in (*_OPTIONS, *options):
            command += ["-c", option]
        with open_private(self._log_file) as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C in the terminal is for us: we stop it when the last request is answered.
                start_new_session=True,
                **home.process_options(),
            )

    def _is_ready_in_time(self, child: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + self._patience
        while child.poll() is None and time.monotonic() < deadline:
            status = self._read_status()
            # A file that a crash left behind may say "ready" as well, but of another process.
            if status[:1] == [str(child.pid)] and status[-1] == "ready":
                return True
            time.sleep(_POLL)
        child.kill()
        child.wait()
        return False

    @property
    def _status_file(self) -> Path:
        return self._home.data / "postmaster.pid"

    def _read_status(self) -> list[str]:
        """Return the lines of the status file, none if no server runs.

        The first is the process id; the last is `ready` when the server takes connections.
        """
        try:
            return [line.strip() for line in self._status_file.read_text().splitlines()]
        except FileNotFoundError:
            return []
