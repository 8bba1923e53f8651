"""What systemd is told about the service, by sd_notify(3).

A unit of `Type=notify` counts as started when the service takes requests, not when its process
exists.
"""

from __future__ import annotations

import os
import socket
from typing import Final

_VARIABLE: Final = "NOTIFY_SOCKET"


class Supervisor:
    """Whoever started this process and waits for news of it; often nobody does."""

    def __init__(self, address: str = "") -> None:
        # A name in the abstract namespace of Linux begins with a zero byte, and is written with @.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address

    def say(self, state: str) -> None:
        """Send one line, such as `READY=1`. A supervisor that is gone changes nothing."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as news:
            try:
                news.sendto(state.encode(), self._address)
            except OSError:
                return


def take_supervisor() -> Supervisor:
    """Return the supervisor that the environment names, and take its address out.

    gunicorn would say "ready" as soon as it runs, and the embedded Postgres has its own news.
    """
    return Supervisor(os.environ.pop(_VARIABLE, ""))
