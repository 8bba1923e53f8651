"""Free ports of loopback."""

from __future__ import annotations

import os
import random
import socket
from pathlib import Path
from typing import Final

_LOWEST: Final = 10_000
_given: set[int] = set()


def find_free_port() -> int:
    """Return a port that is free and stays free: nobody who connects somewhere gets it meanwhile.

    A service that is stopped and started again on its port must find it free. So the port lies
    below those that the system gives to connections, and is given once by this process. Processes
    that run parts of the same tests have different ports: between finding one and listening on it
    nobody else can see that it is taken.
    """
    highest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    together = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    ports = range(_LOWEST + number, max(highest, 2 * _LOWEST), together)
    while True:
        port = random.choice(ports)
        if port not in _given and _is_free(port):
            _given.add(port)
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
