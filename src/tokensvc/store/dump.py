"""pg_dump and pg_restore: where they are, and how they are run.

A password never stands in their arguments, which every user of the machine can read.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from tokensvc.core.errors import StartRefusedError
from tokensvc.store.database_url import split_password
from tokensvc.store.postgres_binaries import (
    list_debian_binaries,
    list_wheel_binaries,
    read_major,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PROGRAMS: Final = ("pg_dump", "pg_restore")
_SERVER: Final = ("initdb", "postgres")
_AT_ONCE: Final = 1 << 20  # bytes
_TOLD: Final = 1000  # characters of what a program said
# Without a password neither program asks for one: it would wait for somebody who is not there.
_DUMP: Final = ("--format=custom", "--no-password")
# Whoever restores owns everything. The rights of the service are granted as at every start.
_RESTORE: Final = (
    "--no-password",
    "--no-owner",
    "--no-privileges",
    "--no-comments",
    "--exit-on-error",
)


class DumpPrograms(NamedTuple):
    """A folder with pg_dump and pg_restore, and their major version."""

    folder: Path
    major: int


def find_programs(
    explicit: Path | None, least_major: int, *, needs_server: bool = False
) -> DumpPrograms:
    """Return the oldest programs that are not older than `least_major`, that of a server.

    They are looked for in the same places as the server, and `explicit` goes before all of them.
    `needs_server`: the server must be in the same folder. Raises StartRefusedError if there are
    none.
    """
    wanted = (*_PROGRAMS, *_SERVER) if needs_server else _PROGRAMS
    found: dict[int, Path] = {}
    for folder in _list_folders() if explicit is None else [explicit]:
        if all((folder / program).is_file() for program in wanted):
            major = read_major(folder / "pg_dump")
            if major is not None:
                found.setdefault(major, folder)
    fitting = [major for major in found if major >= least_major]
    if not fitting:
        newest = f"the newest one here is {max(found)}" if found else "there is none here"
        raise StartRefusedError(
            f"{' and '.join(wanted)} of version {least_major} or newer are needed, and {newest}: "
            f"install Debian's postgresql-{'' if needs_server else 'client-'}{least_major}, "
            "or point TOKENSVC_POSTGRES_BIN_DIR at their folder"
        )
    return DumpPrograms(found[min(fitting)], min(fitting))


async def write_dump(
    programs: DumpPrograms, url: str, snapshot: str, write: Callable[[bytes], object]
) -> None:
    """Give `write` an archive of a database as one transaction sees it, which exports `snapshot`.

    Raises StartRefusedError if pg_dump fails, and what `write` raises.
    """
    login, secret = split_password(url)
    arguments = (*_DUMP, f"--snapshot={snapshot}", f"--dbname={login}")
    # A pipe cannot be rewound, so the archive holds no places that would be wrong in our file.
    await _run(programs.folder / "pg_dump", arguments, secret, write=write)


async def restore_dump(programs: DumpPrograms, url: str, archive: IO[bytes]) -> None:
    """Fill an empty database from an archive, which begins where `archive` stands.

    Raises StartRefusedError if anything in it cannot be restored.
    """
    login, secret = split_password(url)
    arguments = (*_RESTORE, f"--dbname={login}")
    await _run(programs.folder / "pg_restore", arguments, secret, archive=archive)


async def _run(
    program: Path,
    arguments: Sequence[str],
    secret: dict[str, str],
    *,
    archive: IO[bytes] | None = None,
    write: Callable[[bytes], object] | None = None,
) -> None:
    """Run a program to its end. Raises StartRefusedError, with what it said, if it fails."""
    # Our settings hold secrets, and no other program needs them.
    ours = {name: value for name, value in os.environ.items() if not name.startswith("TOKENSVC_")}
    # What it says goes to a file: a pipe that nobody reads would fill up and stop the program.
    with tempfile.TemporaryFile() as told:
        process = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL if archive is None else archive,
            stdout=asyncio.subprocess.DEVNULL if write is None else asyncio.subprocess.PIPE,
            stderr=told,
            env=ours | {"LC_ALL": "C"} | secret,
        )
        try:
            while write is not None and process.stdout is not None:
                if not (data := await process.stdout.read(_AT_ONCE)):
                    break
                write(data)
            failed = await process.wait()
        finally:
            # It still runs if `write` has raised, as on a full disk, or if the caller was
            # cancelled.
            if process.returncode is None:
                process.kill()
                await process.wait()
        if failed:
            told.seek(0)
            said = told.read().decode(errors="replace").strip()
            raise StartRefusedError(f"{program.name} failed: {said[-_TOLD:]}")


def _list_folders() -> list[Path]:
    """Return the folders where the programs may be; they may be on PATH without a server."""
    on_path = shutil.which("pg_dump")
    folders = [] if on_path is None else [Path(on_path).parent]
    return [*list_debian_binaries(), *folders, *list_wheel_binaries()]
