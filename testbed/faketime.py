"""Clocks that are moved while a process runs: libfaketime reads by how much from a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

# None on a machine that lacks it (Debian: apt-get install faketime).
FAKETIME: Final = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
_PATCHES: Final = Path(__file__).with_name("moved")


class MovedClock:
    """The wall clock of whoever runs with `environment`. Its monotonic clock stays right."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.ahead = 0.0
        file.chmod(0o644)  # Postgres may run as another user

    @property
    def ahead(self) -> float:
        """By how many seconds it is ahead; negative if it is behind."""
        return self._ahead

    @ahead.setter
    def ahead(self, seconds: float) -> None:
        self._ahead = seconds
        # A reader must never see half of it: the length stays the same.
        with self._file.open("r+" if self._file.exists() else "w") as file:
            file.write(f"{seconds:+013.3f}\n")

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs so that this is its clock."""
        paths = [str(_PATCHES), os.environ.get("PYTHONPATH")]
        return {
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
