"""What is cut short for a limit: counted each time, and logged once a minute for each limit."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from tokensvc.issuer.metrics import CONNECTIONS_LIMITED
from tokensvc.logs.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

_LOG_EVERY_SECONDS: Final = 60.0

_log = get_logger(__name__)


class LimitLog:
    """Counts, and logs now and then; `clock` is the monotonic one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._unlogged: dict[str, int] = {}
        self._logged_on: dict[str, float] = {}

    def note(self, limit: str) -> None:
        """Note that something was cut short for `limit`, which is one of few names of ours."""
        CONNECTIONS_LIMITED.labels(limit).inc()
        times = self._unlogged[limit] = self._unlogged.get(limit, 0) + 1
        now = self._clock()
        if now - self._logged_on.get(limit, -_LOG_EVERY_SECONDS) >= _LOG_EVERY_SECONDS:
            _log.warning("connections_limited", limit=limit, times=times)
            self._logged_on[limit], self._unlogged[limit] = now, 0
