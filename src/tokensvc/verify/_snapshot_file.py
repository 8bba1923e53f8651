"""The file that holds a snapshot.

It is trusted because of its owner and mode: a file that others may write is not read.
"""

from __future__ import annotations

import os
import stat
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tokensvc.verify._snapshot import SnapshotError, build_snapshot, parse_snapshot

if TYPE_CHECKING:
    from tokensvc.verify._snapshot import Snapshot

# A denylist of a million entries takes 60 MB. A longer file is cut, and refused without its digest.
_MAX_BYTES: Final = 128 * 1024 * 1024
_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


class SnapshotFile:
    """One file, read and written from threads."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._newest = 0
        self._lock = threading.Lock()

    def load(self, *, issuer: str, now: float, leeway: float) -> Snapshot | None:
        """Return the snapshot in the file, None if there is no file. `now`, `leeway`: seconds.

        Raises SnapshotError if it cannot be used.
        """
        # O_NOFOLLOW refuses a link. O_NONBLOCK does not wait for the writer of a pipe.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            descriptor = os.open(self.path, flags)
            with open(descriptor, "rb") as file:  # noqa: PTH123 - of a descriptor
                _check_owner(os.fstat(descriptor))
                return parse_snapshot(file.read(_MAX_BYTES), issuer=issuer, now=now, leeway=leeway)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SnapshotError(f"it cannot be read: {error.strerror}") from error

    def save(self, snapshot: Snapshot, *, number: int) -> None:
        """Write the file, whole or not at all, readable by its owner alone. Raises SnapshotError.

        `number` grows with each snapshot. A thread whose waiting task was cancelled still writes
        its snapshot; one with a lower number than the last does not overwrite a newer one.
        """
        with self._lock:
            if number > self._newest:
                self._replace(snapshot)
                self._newest = number

    def _replace(self, snapshot: Snapshot) -> None:
        try:
            descriptor, name = tempfile.mkstemp(  # mode 0600
                prefix=f".{self.path.name}.", dir=self.path.parent
            )
            try:
                with open(descriptor, "wb") as file:  # noqa: PTH123 - of a descriptor
                    file.writelines(build_snapshot(snapshot))
                    file.flush()
                    os.fsync(descriptor)
                # The folder is not synced: if the machine stops now, the older file is good too.
                Path(name).replace(self.path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise SnapshotError(f"it cannot be written: {error.strerror}") from error


def _check_owner(facts: os.stat_result) -> None:
    if (
        not stat.S_ISREG(facts.st_mode)
        or facts.st_uid not in {0, os.geteuid()}
        or facts.st_mode & _WRITABLE_BY_OTHERS
    ):
        raise SnapshotError("it must be a file that only this user can write")
