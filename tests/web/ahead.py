"""A clock for verifiers in tests."""

from __future__ import annotations

import time


class Ahead:
    """A monotonic clock that can be moved forward: `seconds` that it is ahead of the real one."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.seconds
