"""What the operating system lets this process do, for the process itself and its children."""

from __future__ import annotations

import ctypes
import resource
from typing import Final

_PR_SET_DUMPABLE: Final = 4  # linux/prctl.h


def forbid_core_dumps() -> None:
    """Let no crash write the memory of this process to a file: the master key is in it.

    The limit alone would not hold where a program collects the core dumps. So on Linux the process
    is made not dumpable as well, which also keeps other processes of its user from reading its
    memory. Elsewhere only the limit is set.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def raise_descriptor_limit() -> None:
    """Allow as many open connections as the operating system lets us have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        pass  # some systems call the limit infinite and refuse it; the present one stays
