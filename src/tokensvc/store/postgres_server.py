"""The server process of a private Postgres: started, found again, and stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tokensvc.core.errors import StartRefusedError
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


class PostgresServer:
    """The server of one home, which may have been started by another process."""

    def __init__(self, home: Home, log_file: Path) -> None:
        self._home = home
        self._log_file = log_file
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
        """Stop the server if it runs; return when it has written everything to disk."""
        process_id = self.process_id
        if process_id is None:
            return
        os.kill(process_id, signal.SIGINT)  # to Postgres: end the sessions, do not wait for them
        # It may be the child of another process, so its end is told by its file, which it removes
        # last.
        deadline = time.monotonic() + _PATIENCE
        while self._status_file.exists() and time.monotonic() < deadline:
            time.sleep(_POLL)
        if self._child is not None:
            self._child.wait(timeout=_PATIENCE)

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
        deadline = time.monotonic() + _PATIENCE
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
