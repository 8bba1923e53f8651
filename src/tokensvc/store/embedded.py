"""The zero-setup Postgres: a private cluster under the data folder, for trying things out, for tests, and for one small machine.

    <data folder>/postgres/data      the cluster                    <data folder>/postgres.log       what it said
    <data folder>/postgres/socket    0700; it listens nowhere else  <data folder>/postgres-password  0600

Several processes may use it at once (the service and the CLI): each holds a shared lock, and the last one out stops the server. One that
was left behind by `kill -9` is taken over by the next. As root, Postgres runs as an unprivileged user; if that user cannot
enter the data folder (a checkout below root's 0700 home), the cluster is kept under /var/lib/tokensvc instead.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import signal
import stat
import subprocess
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final
from urllib.parse import quote

from tokensvc.core.errors import StartRefusedError
from tokensvc.store.postgres_binaries import (
    can_reach,
    copy_readable,
    find_binaries,
    unprivileged_user,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_USER: Final = "tokensvc"
_DATABASE: Final = "postgres"
_PATIENCE: Final = 30.0
_POLL: Final = 0.02
_TRIES: Final = 10
_BETWEEN_TRIES: Final = 0.5
_SOCKET_PATH_LIMIT: Final = 107
_ELSEWHERE: Final = Path("/var/lib/tokensvc")
_PORT: Final = 5432  # names the socket file; no port is opened


class EmbeddedPostgres:
    """One private cluster. `start` and `stop` block for about a second at most; call them before and after the event loop."""

    def __init__(
        self, data_dir: Path, *, bin_dir: Path | None = None, options: Sequence[str] = ()
    ) -> None:
        self._data_dir = data_dir.absolute()
        self._bin_dir = None if bin_dir is None else bin_dir.absolute()
        self._options = tuple(options)
        self._child: subprocess.Popen[bytes] | None = None
        self._user_lock: IO[bytes] | None = None
        self._uid, self._gid = unprivileged_user(None)
        self._home = self._data_dir / "postgres"
        self._owner = os.getpid()

    @property
    def exists(self) -> bool:
        """Whether the cluster has been made."""
        return (self._data_dir / "postgres-password").exists()

    @property
    def process_id(self) -> int | None:
        """The process id of the server that runs on this data, None if none does."""
        return _running(self._home / "data", self._uid)

    def start(self) -> str:
        """Start the server, or join the one that runs; return its URL. Raises StartRefusedError."""
        try:
            self._data_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StartRefusedError(
                f"the data folder {self._data_dir} cannot be made ({error.strerror}); set TOKENSVC_DATA_DIR"
            ) from error
        with _locked(self._data_dir / "postgres-start.lock"):
            self._home = self._find_home()
            if self.process_id is None:
                self._launch(self._prepare())
            lock = (self._data_dir / "postgres-users.lock").open("ab")
            fcntl.flock(lock, fcntl.LOCK_SH)
            self._user_lock = lock
        password = (self._data_dir / "postgres-password").read_text("ascii").strip()
        return f"postgresql://{_USER}:{password}@/{_DATABASE}?host={quote(str(self._home / 'socket'))}&port={_PORT}"

    def stop(self) -> None:
        """Leave; stop the server if nobody else uses it. A forked child that passes here leaves it alone."""
        if self._user_lock is None or self._owner != os.getpid():
            return
        lock, self._user_lock = self._user_lock, None
        with _locked(self._data_dir / "postgres-start.lock"), lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            self._shut_down()

    def _find_home(self) -> Path:
        """Return where the cluster lives, making the folder; decides who runs it.

        The folder stays ours even if Postgres runs as somebody else: only `data` and `socket` in it are theirs, so whoever is Postgres
        cannot put a link in the place of something that root is going to touch.
        """
        pointer = self._data_dir / "postgres-elsewhere"
        home = (
            Path(pointer.read_text().strip()) if pointer.exists() else self._data_dir / "postgres"
        )
        data = home / "data"
        self._uid, self._gid = unprivileged_user(data.lstat().st_uid if data.exists() else None)
        if not home.exists():
            find_binaries(self._bin_dir, None)  # before anything is made
            if (
                not can_reach(self._data_dir, self._uid)
                or len(os.fsencode(home)) + 30 > _SOCKET_PATH_LIMIT
            ):
                home = self._make_elsewhere(pointer)
            home.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        return home

    def _make_elsewhere(self, pointer: Path) -> Path:
        if os.geteuid() != 0:
            raise StartRefusedError(
                f"the path {self._data_dir} is too long for a Postgres socket; set TOKENSVC_DATA_DIR to a shorter one"
            )
        _ELSEWHERE.mkdir(mode=0o755, parents=True, exist_ok=True)
        home = _ELSEWHERE / secrets.token_hex(6)
        draft = pointer.with_suffix(".new")
        draft.write_text(f"{home}\n")
        draft.rename(pointer)
        return home

    def _prepare(self) -> Path:
        """Make the cluster if there is none; return the folder of programs."""
        version = self._home / "data" / "PG_VERSION"
        exists = version.exists()
        binaries = find_binaries(self._bin_dir, _read_version(version) if exists else None)
        if not can_reach(binaries / "postgres", self._uid):
            binaries = copy_readable(binaries, self._home.with_name(self._home.name + "-binaries"))
        if not exists:
            self._initialise(binaries)
        self._give(self._home / "socket")
        return binaries

    def _give(self, folder: Path) -> None:
        """Make a folder that belongs to whoever runs Postgres. Never follows a link."""
        folder.mkdir(mode=0o700, exist_ok=True)
        if not stat.S_ISDIR(folder.lstat().st_mode):
            raise StartRefusedError(f"{folder} is a link; remove it")
        os.chown(folder, self._uid, self._gid, follow_symlinks=False)

    def _initialise(self, binaries: Path) -> None:
        draft = (
            self._home / "data.new"
        )  # renamed when whole: a start that was killed here leaves no half cluster
        shutil.rmtree(draft, ignore_errors=True)
        self._give(draft)
        password = secrets.token_urlsafe(24)
        note = self._home / "password.new"  # for initdb alone, gone when it has read it
        note.unlink(missing_ok=True)
        with os.fdopen(
            os.open(note, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w"
        ) as file:
            file.write(f"{password}\n")
            os.fchown(file.fileno(), self._uid, self._gid)
        command: list[str | Path] = [
            binaries / "initdb",
            "-D",
            draft,
            "-U",
            _USER,
            "-A",
            "scram-sha-256",
            f"--pwfile={note}",
        ]
        made = subprocess.run(
            [*command, "-E", "UTF8", "--locale=C"],
            capture_output=True,
            check=False,
            **self._as_user(),
        )
        note.unlink()
        if made.returncode != 0:
            raise StartRefusedError(
                f"initdb failed: {made.stderr.decode(errors='replace').strip()[-500:]}"
            )
        secret = self._data_dir / "postgres-password"
        secret.unlink(missing_ok=True)
        with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(password)
        draft.rename(self._home / "data")

    def _launch(self, binaries: Path) -> None:
        """Start the server; once more if the remains of one that was killed are just going away."""
        for _ in range(_TRIES):
            self._child = self._spawn(binaries)
            if self._is_ready_in_time(self._child):
                # If it is killed, it must not stay behind as a zombie: to Postgres that is a server that still runs, and no other starts.
                threading.Thread(
                    target=self._child.wait, name="tokensvc-postgres", daemon=True
                ).start()
                return
            time.sleep(_BETWEEN_TRIES)
        raise StartRefusedError(f"Postgres did not start; see {self._data_dir / 'postgres.log'}")

    def _spawn(self, binaries: Path) -> subprocess.Popen[bytes]:
        command: list[str | Path] = [
            binaries / "postgres",
            "-D",
            self._home / "data",
            "-k",
            self._home / "socket",
        ]
        for option in (
            "listen_addresses=",
            f"port={_PORT}",
            "log_parameter_max_length_on_error=0",
            *self._options,
        ):
            command += ["-c", option]
        with (self._data_dir / "postgres.log").open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is for us; we stop it when the last request is answered
                **self._as_user(),
            )

    def _is_ready_in_time(self, child: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + _PATIENCE
        while child.poll() is None and time.monotonic() < deadline:
            status = _status(
                self._home / "data"
            )  # one that a crash left behind may say "ready" as well
            if status[:1] == [str(child.pid)] and status[-1] == "ready":
                return True
            time.sleep(_POLL)
        child.kill()
        child.wait()
        return False

    def _shut_down(self) -> None:
        process_id = self.process_id
        if process_id is None:
            return
        os.kill(process_id, signal.SIGINT)  # fast shutdown: ends sessions, writes a checkpoint
        deadline = time.monotonic() + _PATIENCE
        while (self._home / "data" / "postmaster.pid").exists() and time.monotonic() < deadline:
            time.sleep(_POLL)
        if self._child is not None:
            self._child.wait(timeout=_PATIENCE)

    def _as_user(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "cwd": "/",
            "env": {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
        }
        if os.geteuid() == 0:
            options |= {"user": self._uid, "group": self._gid, "extra_groups": []}
        return options


class _locked:  # noqa: N801 - reads as a statement
    """Hold an exclusive lock on a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        self._file = self._path.open("ab")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _status(data: Path) -> list[str]:
    """Return the lines of postmaster.pid: the first is the process id, the last `ready` once it takes connections."""
    try:
        return [line.strip() for line in (data / "postmaster.pid").read_text().splitlines()]
    except FileNotFoundError:
        return []


def _read_version(path: Path) -> str:
    """Return the major version that made a cluster; the file is Postgres's, so nothing but a number is taken from it."""
    version = path.read_text("ascii", "replace").strip()
    return version if version.isdecimal() else "unknown"


def _running(data: Path, uid: int) -> int | None:
    status = _status(data)
    if not status or not status[0].isdecimal():
        return None
    process_id = int(status[0])
    process = Path(f"/proc/{process_id}")
    try:
        # a server stands in its data folder and runs as its user; the number may be another process's by now
        is_ours = (
            process.stat().st_uid == uid
            and (process / "cwd").readlink() == data.resolve()
            and not data.is_symlink()
        )
    except OSError:
        return None
    return process_id if is_ours else None
