"""Files that no other user of the machine may open, so that no other user can read or lock them."""

from __future__ import annotations

import os
import stat
from typing import IO, TYPE_CHECKING, Final

from tokensvc.core.errors import StartRefusedError

if TYPE_CHECKING:
    from pathlib import Path

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def open_private(path: Path) -> IO[bytes]:
    """Open a file for appending, mode 0600; it is made if there is none.

    Raises StartRefusedError if it belongs to another user, who could hold a lock on it for as long
    as he likes, or if it is a link.
    """
    how = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    try:
        file = os.fdopen(os.open(path, how, 0o600), "ab")
    except OSError as error:
        raise StartRefusedError(f"the file {path} cannot be opened: {error.strerror}") from error
    status = os.fstat(file.fileno())
    if status.st_uid not in {0, os.geteuid()}:
        file.close()
        raise StartRefusedError(
            f"the file {path} belongs to another user, who could lock it; "
            f"run: chown {os.geteuid()} {path}"
        )
    if status.st_mode & _OTHERS and status.st_uid == os.geteuid():
        os.fchmod(file.fileno(), 0o600)
    return file


def create_private(path: Path) -> IO[bytes]:
    """Make a new file, mode 0600. Raises OSError; it is FileExistsError if there is one."""
    how = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    return os.fdopen(os.open(path, how, 0o600), "wb")
