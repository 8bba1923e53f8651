"""Read by every Python program that runs with a moved clock, before all else.

Under libfaketime 0.9.10, `time.sleep` of CPython 3.11 fails with EINVAL: it waits for an absolute
moment of the monotonic clock, and that moment is moved as well.
"""

from __future__ import annotations

import threading
import time


def _sleep(seconds: float) -> None:
    threading.Event().wait(seconds)


time.sleep = _sleep  # type: ignore[assignment] # also an index may be given
