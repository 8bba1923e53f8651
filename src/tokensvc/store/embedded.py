"""The zero-setup Postgres: for trying things out, for tests, and for one small machine.

    <data folder>/postgres             the home of the cluster
    <data folder>/postgres.log         what the server said, 0600
    <data folder>/postgres-password    0600
    <data folder>/postgres-*.lock      0600, so that no other user can hold them
    <data folder>/postgres-elsewhere   where the home is, if it is not here

Several processes may use it at once, the service and the command line: each holds a shared lock,
and the last one stops the server. A server that was left behind by `kill -9` is taken over by the
next process. If we are root, and the user that Postgres runs as cannot enter the data folder (a
checkout below root's home, mode 0700), then the home lies under /var/lib/tokensvc.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final
from urllib.parse import quote

from tokensvc.core.errors import StartRefusedError
from tokensvc.store.postgres_home import SUPERUSER, default_home, find_home, prepare_home
from tokensvc.store.postgres_server import PORT, PostgresServer
from tokensvc.store.private_file import open_private

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_DATABASE: Final = "postgres"
_ELSEWHERE: Final = Path("/var/lib/tokensvc")


class EmbeddedPostgres:
    """One private cluster.

    `start` and `stop` block, usually for a second at most: call them before and after the event
    loop runs.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        bin_dir: Path | None = None,
        options: Sequence[str] = (),
        elsewhere: Path = _ELSEWHERE,
    ) -> None:
        self._data_dir = data_dir.absolute()
        self._bin_dir = None if bin_dir is None else bin_dir.absolute()
        self._options = tuple(options)
        self._elsewhere = elsewhere
        self._password_file = self._data_dir / "postgres-password"
        self._log_file = self._data_dir / "postgres.log"
        self._home = default_home(self._data_dir)
        self._server = PostgresServer(self._home, self._log_file)
        self._user_lock: IO[bytes] | None = None
        self._owner = os.getpid()

    @property
    def exists(self) -> bool:
        """Whether the cluster has been made."""
        return self._password_file.exists()

    @property
    def process_id(self) -> int | None:
        """The process id of the server that runs on this data, None if none does."""
        return self._server.process_id

    def start(self) -> str:
        """Start the server, or join the one that runs; return its URL. Raises StartRefusedError."""
        try:
            # Postgres, as a user of its own, must be able to pass through if we are root.
            mode = 0o711 if os.geteuid() == 0 else 0o700
            self._data_dir.mkdir(mode=mode, parents=True, exist_ok=True)
        except OSError as error:
            raise StartRefusedError(
                f"the data folder {self._data_dir} cannot be made ({error.strerror}); "
                "set TOKENSVC_DATA_DIR"
            ) from error
        with self._start_lock():
            home = find_home(self._data_dir, self._bin_dir, self._elsewhere)
            if home != self._home:
                self._home, self._server = home, PostgresServer(home, self._log_file)
            if self._server.process_id is None:
                binaries = prepare_home(home, self._bin_dir, self._password_file)
                self._server.launch(binaries, self._options)
            # The start lock is still held. Otherwise a process that leaves would find no user, and
            # would stop the server that was just started or found.
            lock = open_private(self._data_dir / "postgres-users.lock")
            fcntl.flock(lock, fcntl.LOCK_SH)
            self._user_lock = lock
        password = self._password_file.read_text("ascii").strip()
        address = f"host={quote(str(home.socket))}&port={PORT}"
        return f"postgresql://{SUPERUSER}:{password}@/{_DATABASE}?{address}"

    def stop(self) -> None:
        """Leave the server, and stop it if nobody else uses it.

        A child of a fork that comes here leaves it to its parent.
        """
        if self._user_lock is None or self._owner != os.getpid():
            return
        lock, self._user_lock = self._user_lock, None
        with self._start_lock(), lock:
            try:
                # It can be had only if nobody else holds it shared. Nobody can come meanwhile,
                # because a user takes the start lock first.
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            self._server.shut_down()

    @contextmanager
    def _start_lock(self) -> Iterator[None]:
        """Let one process at a time start or stop the server."""
        with open_private(self._data_dir / "postgres-start.lock") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
