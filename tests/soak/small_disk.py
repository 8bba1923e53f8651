"""A folder of a Postgres on a disk of its own, which gets full."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testbed.cluster import Node

_PIECE: Final = 1 << 20


@contextlib.contextmanager
def small_disk(node: Node, name: str, size: str) -> Iterator[Path]:
    """Put one folder of a Postgres that does not run onto a disk of its own; lend the folder."""
    folder, aside = node.data / name, node.data.parent / f"{name}-aside"
    folder.rename(aside)
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=False
    )
    try:
        if mounted.returncode != 0:
            pytest.skip("this machine mounts no disk for us")
        subprocess.run(["cp", "-a", f"{aside}/.", folder], check=True)
        yield folder
    finally:
        node.end(signal.SIGKILL)
        if mounted.returncode == 0:
            subprocess.run(["umount", "--lazy", folder], check=True)
        shutil.rmtree(aside)


def fill(folder: Path, left: int) -> Path:
    """Fill the disk of a folder but for so many bytes; return the file that does it.

    Postgres writes to the same disk meanwhile, so it is filled piece by piece, and less may be
    left in the end.
    """
    file = folder / "filler"
    with file.open("wb", buffering=0) as opened, contextlib.suppress(OSError):
        while (more := _count_free(folder) - left) > 0:
            opened.write(bytes(min(more, _PIECE)))
    return file


def _count_free(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_bsize
