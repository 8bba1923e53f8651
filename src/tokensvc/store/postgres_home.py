"""The home of a private Postgres: where it lies, which user owns it, and how its cluster is made.

    <home>/data      the cluster
    <home>/socket    0700; the server listens nowhere else

If we are root, Postgres runs as an unprivileged user, and only `data` and `socket` belong to that
user. The home itself stays ours: so no process of that user can put a link in the place of
something that root is going to touch.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tokensvc.core.errors import StartRefusedError
from tokensvc.store.postgres_binaries import (
    can_enter,
    can_reach,
    copy_readable,
    find_binaries,
    unprivileged_user,
)
from tokensvc.store.postgres_user import name_user

SUPERUSER: Final = "tokensvc"
_SOCKET_PATH_LIMIT: Final = 107  # of the operating system
_SOCKET_NAME_ROOM: Final = 30  # for /socket/.s.PGSQL.5432, with some to spare


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """Where a cluster lives, and the user that Postgres runs as."""

    folder: Path
    uid: int
    gid: int

    @property
    def data(self) -> Path:
        """The cluster."""
        return self.folder / "data"

    @property
    def socket(self) -> Path:
        """The folder of the socket."""
        return self.folder / "socket"

    def process_options(self) -> dict[str, Any]:
        """Return how a program of Postgres is started: as its user, without our environment."""
        options: dict[str, Any] = {
            "cwd": "/",
            "env": {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
        }
        if os.geteuid() == 0:
            options |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return options


def default_home(data_dir: Path) -> Home:
    """Return the home in the data folder, where it usually is."""
    uid, gid = unprivileged_user(None)
    return Home(folder=data_dir / "postgres", uid=uid, gid=gid)


def find_home(data_dir: Path, bin_dir: Path | None, elsewhere: Path) -> Home:
    """Return the home that belongs to a data folder; make its folder if there is none.

    It lies below `elsewhere` if the user that Postgres runs as cannot reach the data folder, or if
    its path is too long for a socket. Raises StartRefusedError.
    """
    pointer = data_dir / "postgres-elsewhere"
    noted = pointer.read_text().strip() if pointer.exists() else None
    folder = data_dir / "postgres" if noted is None else Path(noted)
    data = folder / "data"
    uid, gid = unprivileged_user(data.lstat().st_uid if data.exists() else None)
    if not folder.exists():
        find_binaries(bin_dir, None)  # if there are none, it refuses before anything is made
        too_long = len(os.fsencode(folder)) + _SOCKET_NAME_ROOM > _SOCKET_PATH_LIMIT
        if too_long or not can_enter(data_dir, uid):
            folder = _make_elsewhere(data_dir, pointer, elsewhere)
        folder.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
    return Home(folder=folder, uid=uid, gid=gid)


def prepare_home(home: Home, bin_dir: Path | None, password_file: Path) -> Path:
    """Make the cluster if there is none; return the folder of the programs that run it.

    The password of a new cluster is written to `password_file`. Raises StartRefusedError.
    """
    version = home.data / "PG_VERSION"
    exists = version.exists()
    binaries = find_binaries(bin_dir, _read_version(version) if exists else None)
    if not can_reach(binaries / "postgres", home.uid):
        copy = home.folder.with_name(f"{home.folder.name}-binaries")
        binaries = copy_readable(binaries, copy)
    if not exists:
        _make_cluster(home, binaries, password_file)
    _give(home.socket, home)
    return binaries


def _make_elsewhere(data_dir: Path, pointer: Path, elsewhere: Path) -> Path:
    """Choose a folder below `elsewhere`, and note it in the data folder."""
    if os.geteuid() != 0:
        raise StartRefusedError(
            f"the path {data_dir} is too long for a Postgres socket; "
            "set TOKENSVC_DATA_DIR to a shorter one"
        )
    elsewhere.mkdir(mode=0o755, parents=True, exist_ok=True)
    folder = elsewhere / secrets.token_hex(6)
    draft = pointer.with_suffix(".new")
    draft.write_text(f"{folder}\n")
    draft.rename(pointer)
    return folder


def _make_cluster(home: Home, binaries: Path, password_file: Path) -> None:
    # It gets its name when it is whole: a start that is killed here leaves no half cluster.
    draft = home.folder / "data.new"
    shutil.rmtree(draft, ignore_errors=True)
    _give(draft, home)
    password = secrets.token_urlsafe(24)
    note = home.folder / "password.new"  # for initdb alone, and gone when it has read it
    _write_secret(note, f"{password}\n", home)
    program: list[str | Path] = [binaries / "initdb", "-D", draft, "-U", SUPERUSER]
    options = home.process_options()
    options["env"] |= name_user(home.uid, home.gid, home.folder)
    made = subprocess.run(
        [*program, "-A", "scram-sha-256", f"--pwfile={note}", "-E", "UTF8", "--locale=C"],
        capture_output=True,
        check=False,
        **options,
    )
    note.unlink()
    if made.returncode != 0:
        told = made.stderr.decode(errors="replace").strip()
        raise StartRefusedError(f"initdb failed: {told[-500:]}")
    # The password comes first: a cluster without it could not be used, while a password without a
    # cluster is replaced by the next start.
    _write_secret(password_file, password)
    draft.rename(home.data)


def _write_secret(path: Path, text: str, home: Home | None = None) -> None:
    """Write a new file, mode 0600, that belongs to us or to the user of `home`."""
    path.unlink(missing_ok=True)
    how = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(path, how, 0o600), "w") as file:
        file.write(text)
        if home is not None:
            os.fchown(file.fileno(), home.uid, home.gid)


def _give(folder: Path, home: Home) -> None:
    """Make a folder that belongs to the user of Postgres. Never follows a link."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if not stat.S_ISDIR(folder.lstat().st_mode):
        raise StartRefusedError(f"{folder} is a link; remove it")
    os.chown(folder, home.uid, home.gid, follow_symlinks=False)


def _read_version(path: Path) -> str:
    """Return the major version that made a cluster.

    The file belongs to Postgres's user, so nothing but a number is taken from it.
    """
    version = path.read_text("ascii", "replace").strip()
    return version if version.isdecimal() else "unknown"
