"""The file of an API key that is replaced: by one process at a time, whole or not at all."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_OWNER_ONLY: Final = 0o600

CAN_LOCK: Final = fcntl is not None


@contextlib.contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Tell whether this process alone may replace the file at `path` until the end of the block.

    The lock is a file beside it, which stays. A process that dies loses its lock. Raises OSError if
    the folder cannot be written.
    """
    handle = os.open(_beside(path, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWNER_ONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def prepare(path: Path) -> None:
    """Check that the file at `path` can be replaced. Raises OSError."""
    os.close(_open_new(path))
    os.unlink(_beside(path, "new"))  # noqa: PTH108 - as the calls around it


def replace(path: Path, text: str) -> None:
    """Let the file at `path` hold `text`, readable by its owner alone. Raises OSError.

    Whenever the machine stops, the file holds either what it held before or all of `text`.
    """
    handle = _open_new(path)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(_beside(path, "new"), path)  # noqa: PTH105 - as the calls around it
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(_beside(path, "new"))  # noqa: PTH108
        raise
    # The new name lasts only if the folder is on the disk as well.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _open_new(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):  # what a process that died has left
        os.unlink(_beside(path, "new"))  # noqa: PTH108
    # With O_EXCL nothing is written through a link that somebody has put there.
    return os.open(_beside(path, "new"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)


def _beside(path: Path, what: str) -> Path:
    return path.with_name(f".{path.name}.{what}")
