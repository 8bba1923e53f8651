"""What the workers of one service know together of its start.

One of them at a time tries to prepare database and keys, so that all together ask Postgres no more
often than one process. They begin to serve together: otherwise a request after the first ready
answer could come to a worker that is not ready. Every worker that replaces one of them knows all
that too.
"""

from __future__ import annotations

import fcntl
import os
import struct
import tempfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREPARED: Final = 0
_SERVING: Final = 1
_OPEN: Final = 2  # the process ids of the workers that are
_PROCESS_IDS: Final = struct.Struct("=64i")  # the command line takes 64 workers at most
_REFUSAL: Final = _OPEN + _PROCESS_IDS.size  # the offset of its text
_MOST_BYTES: Final = 4096


class SharedStart:
    """Make it before the workers are forked. The kernel gives up the turn of a worker that dies."""

    def __init__(self, workers: int = 1) -> None:
        self._workers = workers
        self._file = _open_nameless()
        self._file.truncate(_REFUSAL)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close its file, for this process alone."""
        self._file.close()

    def take_turn(self) -> bool:
        """Try to become the one that prepares; False if another worker is."""
        try:
            # A lock of the process, not of the open file, which all workers share.
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def end_turn(self) -> None:
        """Let another worker try."""
        fcntl.lockf(self._file, fcntl.LOCK_UN)

    @property
    def is_prepared(self) -> bool:
        """Whether database and keys have been prepared."""
        return self._read(_PREPARED)

    def note_prepared(self) -> None:
        """Let the others know that database and keys have been prepared."""
        self._write(_PREPARED)

    @property
    def is_serving(self) -> bool:
        """Whether the workers serve."""
        return self._read(_SERVING)

    @property
    def are_all_open(self) -> bool:
        """Whether every worker has opened its service."""
        return len(self._list_open()) >= self._workers

    def note_open(self) -> None:
        """Let the others know that this worker has opened its service."""
        with self._locked():
            # Without those that have died, so that one that replaces them does not count twice.
            process_ids = [os.getpid(), *self._list_open(), *[0] * 64][:64]
            os.pwrite(self._file.fileno(), _PROCESS_IDS.pack(*process_ids), _OPEN)

    def note_serving(self) -> bool:
        """Let all workers serve from now on; return whether this one was the first to say so."""
        with self._locked():
            is_first = not self.is_serving
            self._write(_SERVING)
        return is_first

    @property
    def refusal(self) -> str | None:
        """Why the service cannot start, None if no worker said so."""
        return os.pread(self._file.fileno(), _MOST_BYTES, _REFUSAL).decode(errors="ignore") or None

    def note_refusal(self, message: str) -> None:
        """Say why the service cannot start. All workers meet the same reason; one text is kept."""
        os.ftruncate(self._file.fileno(), _REFUSAL)
        os.pwrite(self._file.fileno(), message.encode()[:_MOST_BYTES], _REFUSAL)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            self.end_turn()

    def _list_open(self) -> list[int]:
        process_ids = _PROCESS_IDS.unpack(os.pread(self._file.fileno(), _PROCESS_IDS.size, _OPEN))
        return [process_id for process_id in process_ids if process_id and _lives(process_id)]

    def _read(self, offset: int) -> bool:
        return os.pread(self._file.fileno(), 1, offset) == b"1"

    def _write(self, offset: int) -> None:
        os.pwrite(self._file.fileno(), b"1", offset)


def _lives(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except OSError:
        return False
    return True


def _open_nameless() -> IO[bytes]:
    """Open a file without a name, in memory where that is possible: no folder may be writable."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("tokensvc-start"), "w+b", buffering=0)
    return tempfile.TemporaryFile()
