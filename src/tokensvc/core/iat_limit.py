"""Up to which `iat` tokens may be issued: a limit in the database, always ahead of the clock.

    processes that believe Postgres's clock raise it   ->  no token has an `iat` behind it
    Postgres forgets the last `latest_iat` (a crash)   ->  the limit becomes a floor for watermarks

The limit is raised so early that a standby which lags by less than `LEAST_AHEAD` has all of it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from tokensvc.core.clock import TOLERANCE

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

# So one small write in eight seconds is enough. The price: after a crash a key whose tokens were
# just revoked may wait for its next token for up to AHEAD.
AHEAD: Final = timedelta(seconds=20)  # of Postgres's clock when the limit is raised
LEAST_AHEAD: Final = timedelta(seconds=12)  # with less than that it is raised again
_TOLERANCE: Final = timedelta(seconds=TOLERANCE)


class IatBounds(NamedTuple):
    """What the database says of the latest `iat`; None if it says nothing.

    `limit`: no token has a later `iat`. `floor`: no watermark lies before it. `run`: changes when
    Postgres may have forgotten something, as after a crash.
    """

    limit: datetime | None
    floor: datetime | None
    run: UUID | None


class IatLimit:
    """What a process knows of the limit, and remembers if the database loses it.

    Moments `on` are seconds of its monotonic clock.
    """

    def __init__(self) -> None:
        self._held: datetime | None = None  # the limit that the database has
        self._latest: datetime | None = None  # the latest one that was ever seen
        self._run: UUID | None = None
        self._passed: tuple[datetime, float] | None = None

    def find_lacking(self, bounds: IatBounds) -> datetime | None:
        """Return the floor that the database must have and lacks, None if it lacks nothing.

        Call it before `note_limit`: what counts is what was known before Postgres was asked.
        """
        latest = self._latest
        # While the run is the same, the window rows still know the latest `iat` of each key, so an
        # equal limit is as good as a floor. A restored backup has another run, and an older limit.
        known = [bounds.floor, bounds.limit] if bounds.run == self._run else [bounds.floor]
        if latest is None or any(bound is not None and bound >= latest for bound in known):
            return None
        return latest

    def note_run(self, run: UUID | None) -> None:
        """Note the run whose floor is good."""
        self._run = run

    def note_limit(self, limit: datetime | None, on: float) -> None:
        """Take in the limit that the database had at the moment `on`."""
        self._held = limit
        if limit is None:
            return
        self._latest = limit if self._latest is None else max(self._latest, limit)
        self.note_passed(limit, on)

    def note_passed(self, limit: datetime | None, on: float) -> None:
        """Take in only what a limit says of the time: its writer had seen `limit - AHEAD`.

        It may be called before `find_lacking`.
        """
        if limit is None:
            return
        passed, known = limit - AHEAD, self.reckon_passed(on)
        if known is None or passed > known:
            self._passed = passed, on

    def find_wanted(self, now: datetime, *, is_believed: bool) -> datetime | None:
        """Return to what the limit must be raised, None if it is good as it is.

        `now` is what Postgres's clock says, and `is_believed` whether that is believed.
        """
        held, latest = self._held, self._latest
        if is_believed and (held is None or held < now + LEAST_AHEAD):
            return now + AHEAD if latest is None else max(latest, now + AHEAD)
        # The database has lost a limit that was seen: it is written again, whatever the clock says.
        return latest if latest is not None and (held is None or held < latest) else None

    def allows(self, expected_at: datetime | None) -> bool:
        """Tell whether tokens may be counted now by the limit.

        `expected_at`: what Postgres's clock should say; None if that cannot be told. The limit is
        behind for a moment after that clock was not believed for a while.
        """
        if expected_at is None:
            return True  # such a process counts nothing anyway
        # A batch is judged within the tolerance around what is expected, and so before the limit.
        return self._held is not None and expected_at + _TOLERANCE <= self._held

    def reckon_passed(self, on: float) -> datetime | None:
        """Return a moment that has certainly passed at `on`; None if none is known.

        Only a process that believes Postgres's clock raises the limit. So its clock
        had passed `limit - AHEAD`, and time has gone on since this process saw the limit.
        """
        if self._passed is None:
            return None
        at, seen_on = self._passed
        return at + timedelta(seconds=on - seen_on)
