"""When Postgres last confirmed this process's copies, by two clocks."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tokensvc.core.errors import UnavailableError

if TYPE_CHECKING:
    from datetime import datetime

FRESH_SECONDS: Final = 3.0  # a copy older than that proves no freshness to anybody outside
MAX_AGE_SECONDS: Final = 10.0  # a copy older than that signs nothing


class Confirmation:
    """The moment at which Postgres confirmed the copies last."""

    def __init__(self) -> None:
        self._at: datetime | None = None
        self.on = 0.0  # the same moment by the monotonic clock

    def renew(self, at: datetime, on: float) -> None:
        """Note a confirmation: Postgres's clock `at`, and the monotonic clock `on`."""
        self._at, self.on = at, on

    @property
    def at(self) -> datetime:
        """Postgres's clock at that moment. Raises UnavailableError if there was none."""
        if self._at is None:
            raise build_stale_error()
        return self._at

    @property
    def age_seconds(self) -> float:
        """Seconds since then; infinite if Postgres has never confirmed anything."""
        return time.monotonic() - self.on if self._at is not None else float("inf")

    @property
    def now(self) -> datetime:
        """Postgres's clock as we reckon it: the last confirmation and the time since."""
        return self.at + timedelta(seconds=self.age_seconds)


def build_stale_error() -> UnavailableError:
    """Return the error for a caller that needs a fresher copy than there is."""
    return UnavailableError(
        "the database does not answer right now; try again", reason="mirror_stale"
    )
