"""A folder that lies in memory, for data that need not outlive a process."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

_MEMORY: Final = Path("/dev/shm")
_ENOUGH: Final = 2 * 2**30  # bytes; a container often has 64 MB


def find_memory_folder() -> Path | None:
    """Return where folders in memory can be made, None if there is no such place or it is small.

    Tests make and drop many databases, of 300 files each. An ext4 file system gives no inode out
    again that was freed a moment ago, so it looks through thousands of them for each new file.
    """
    if not os.access(_MEMORY, os.W_OK | os.X_OK) or shutil.disk_usage(_MEMORY).free < _ENOUGH:
        return None
    return _MEMORY
