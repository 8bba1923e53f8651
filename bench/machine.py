"""What figures were measured on, and whether something else ran there meanwhile."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import platform
import re
import sysconfig
from importlib.metadata import version
from pathlib import Path
from typing import Final

_PACKAGES: Final = ("aiohttp", "uvloop", "asyncpg", "PyJWT", "cryptography")
_HANDLERS: Final = Path(__file__).with_name("handlers.py")
# Cores that others may use. Postgres and the services that wait for their turn use a tenth.
_QUIET: Final = 0.2


def describe_machine() -> dict[str, str]:
    """Return the hardware, the interpreter and how it was built, versions, date and load."""
    cpu = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC",
        "processor": f"{len(cpu)} x {cpu[0] if cpu else platform.machine()}",
        "python": f"{platform.python_version()} ({describe_build()})",
        "packages": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
        "handlers": f"sha256 {hashlib.sha256(_HANDLERS.read_bytes()).hexdigest()[:16]}",
        "load average": f"{os.getloadavg()[0]:.1f}",
    }


def describe_build() -> str:
    """Return how the interpreter was built: what makes one faster than another."""
    flags = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    shared = bool(sysconfig.get_config_var("Py_ENABLE_SHARED"))
    built = {
        "PGO": "--enable-optimizations" in flags,
        "LTO": re.search(r"--with-lto(?!=no)", flags) is not None,
        "shared library": shared,
    }
    return ", ".join(f"{name} {'yes' if given else 'no'}" for name, given in built.items())


def describe_quiet(others: float) -> str:
    """Return a sentence on how many cores others have used, on the middle."""
    told = f"others used {others:.2f} of {os.cpu_count()} cores; load {os.getloadavg()[0]:.1f}"
    if others <= _QUIET:
        return f"the machine was quiet: {told}"
    return f"THE MACHINE WAS NOT QUIET, and the figures are worse than they can be: {told}"
