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
    """Return how the interpreter was built: what makes one faster than another.

    An interpreter may have been optimised without telling so, as those of Debian.
    """
    names = ("CONFIG_ARGS", "PY_CORE_CFLAGS", "PY_CORE_LDFLAGS")
    told = " ".join(str(sysconfig.get_config_var(name) or "") for name in names)
    flags = {
        "PGO": r"--enable-optimizations|-fprofile-use",
        "LTO": r"--with-lto(?!=no)|-flto",
    }
    built = [
        f"{name} {'yes' if re.search(flag, told) else 'not told'}" for name, flag in flags.items()
    ]
    is_shared = "libpython" in Path("/proc/self/maps").read_text()
    return ", ".join([*built, f"shared library {'yes' if is_shared else 'no'}"])


def describe_quiet(others: float) -> str:
    """Return a sentence on how many cores others have used, on the middle."""
    told = f"others used {others:.2f} of {os.cpu_count()} cores; load {os.getloadavg()[0]:.1f}"
    if others <= _QUIET:
        return f"the machine was quiet: {told}"
    return f"THE MACHINE WAS NOT QUIET, and the figures are worse than they can be: {told}"
