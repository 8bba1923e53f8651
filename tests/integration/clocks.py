"""Clocks of a process that are moved, so that Postgres's clock seems to be."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tokensvc.issuer.postgres_clock import PostgresClock


@dataclass
class Clocks:
    """The clocks of a process; `postgres` and `wall` are seconds by which they seem ahead."""

    postgres: float = 0.0
    wall: float = 0.0

    def make(self) -> PostgresClock:
        """Return a Postgres clock that is compared with these clocks."""
        return PostgresClock(
            wall=lambda: time.time() - self.postgres + self.wall,
            monotonic=lambda: time.monotonic() - self.postgres,
        )
