"""Postgres's clock as this process knows it: when it was read, and whether it can be believed."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from tokensvc.core.clock import TOLERANCE, ClockState, Reading, judge_clock
from tokensvc.core.errors import ClockError, UnavailableError
from tokensvc.core.iat_limit import IatLimit
from tokensvc.issuer.metrics import CLOCK_DIFFERENCE_SECONDS
from tokensvc.logs.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

FRESH_SECONDS: Final = 3.0  # a copy older than that proves no freshness to anybody outside
MAX_AGE_SECONDS: Final = 10.0  # a copy older than that signs nothing
# What is counted must also be signed, so the copy must not grow too old before the answer comes.
_COUNTING_AGE_SECONDS: Final = 7.0
_TOLERANCE: Final = timedelta(seconds=TOLERANCE)
_NEVER: Final = datetime.min.replace(tzinfo=UTC)

_DOUBTED: Final = (
    "Postgres's clock and this process's differ since the start, so no token is issued; set the "
    "wrong one right"
)

_log = get_logger(__name__)


class Asked(NamedTuple):
    """This process's clocks when it asked Postgres for its own, in seconds."""

    wall: float
    on: float


class PostgresClock:
    """The moment at which Postgres confirmed the copies last, and what is known of its clock.

    `wall` and `monotonic` are the clocks of this process, in seconds.
    """

    def __init__(
        self,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._at: datetime | None = None
        self._clock: ClockState | None = None
        self._seen_iat: datetime | None = None  # None before the first look
        self.iat_limit = IatLimit()
        self.on = 0.0  # the moment of the last confirmation by the monotonic clock

    def renew(self, at: datetime, on: float) -> None:
        """Note a confirmation: Postgres's clock `at`, and the monotonic clock `on`."""
        self._at, self.on = at, on

    def ask(self) -> Asked:
        """Return this process's clocks; call it just before Postgres is asked for its clock."""
        return Asked(self._wall(), self._monotonic())

    def read_clock(self, at: datetime, asked: Asked, *, latest_iat: datetime | None = None) -> None:
        """Judge Postgres's clock: it was `at` at some moment between `asked` and now.

        `latest_iat`: of all tokens that any process has issued, if it was asked for. Only a process
        that believes the clock issues tokens, so one that was issued since the last look vouches
        for it. An older one does not: a clock that was set back shows its moment again.
        """
        spent = self._monotonic() - asked.on
        reading = _build_reading(at, asked, spent, self.iat_limit.reckon_passed(asked.on))
        is_vouched = self._is_vouched(at, latest_iat)
        before = self._clock
        self._clock = judge_clock(before, reading, is_vouched=is_vouched)
        CLOCK_DIFFERENCE_SECONDS.set(abs(reading.difference))
        _tell(before, self._clock)

    def _is_vouched(self, at: datetime, latest_iat: datetime | None) -> bool:
        before, self._seen_iat = self._seen_iat, latest_iat or _NEVER
        is_new = before is not None and before < self._seen_iat
        return is_new and abs(at - self._seen_iat) <= _TOLERANCE

    @property
    def at(self) -> datetime:
        """Postgres's clock at that moment. Raises UnavailableError if there was none."""
        if self._at is None:
            raise build_stale_error()
        return self._at

    @property
    def steady_at(self) -> datetime:
        """As `at`, but without a jump of Postgres's clock that is not believed.

        Raises UnavailableError.
        """
        clock = self._clock
        if clock is None or not clock.has_jumped:
            return self.at
        return datetime.fromtimestamp(clock.anchor.reckon(self.on), UTC)

    @property
    def steady_now(self) -> datetime:
        """As `now`, but without a jump that is not believed. Raises UnavailableError."""
        return self.steady_at + timedelta(seconds=self.age_seconds)

    @property
    def wall_at(self) -> datetime:
        """This process's clock when it last asked Postgres. Raises UnavailableError."""
        if self._clock is None:
            raise build_stale_error()
        return datetime.fromtimestamp(self._clock.latest.wall, UTC)

    @property
    def age_seconds(self) -> float:
        """Seconds since then; infinite if Postgres has never confirmed anything."""
        return self._monotonic() - self.on if self._at is not None else float("inf")

    @property
    def now(self) -> datetime:
        """Postgres's clock as we reckon it: the last confirmation and the time since."""
        return self.at + timedelta(seconds=self.age_seconds)

    @property
    def doubt(self) -> timedelta:
        """How far `now` may be wrong at most, by all clocks and by the time that has passed.

        Postgres's clock and this process's may have been set wrong in the same way.
        """
        doubt = timedelta(seconds=0 if self._clock is None else self._clock.doubt)
        passed = self.iat_limit.reckon_passed(self.on)
        return doubt if passed is None else max(doubt, self.at - passed)

    @property
    def is_blocked(self) -> bool:
        """Whether Postgres's clock is not believed, so that no token may be issued."""
        return self._clock is not None and self._clock.is_blocked

    @property
    def is_in_doubt(self) -> bool:
        """Whether a vouching `latest_iat` matters: the clocks have never agreed so far."""
        return self._clock is None or self._clock.is_doubted

    @property
    def expected_at(self) -> datetime | None:
        """What Postgres's clock should say now; None if that cannot be told."""
        clock = self._clock
        if clock is None or clock.is_blocked:
            return None
        return datetime.fromtimestamp(clock.latest.reckon(self._monotonic()), UTC)

    @property
    def earliest(self) -> datetime:
        """The earliest moment that it can be now, by all clocks. Raises UnavailableError."""
        if self._clock is None:
            raise build_stale_error()
        return datetime.fromtimestamp(self._clock.earliest, UTC)

    @property
    def latest(self) -> datetime:
        """The latest moment that Postgres's clock can have shown. Raises UnavailableError."""
        if self._clock is None:
            raise build_stale_error()
        return datetime.fromtimestamp(self._clock.latest_at, UTC)

    @property
    def collectable_at(self) -> datetime | None:
        """Up to which moment of expiry things may be deleted; None if nothing may be deleted now.

        All clocks call expired what has expired by then.
        """
        if self._clock is None or self._clock.collectable_at is None:
            return None
        return datetime.fromtimestamp(self._clock.collectable_at, UTC)

    def check_counting(self) -> None:
        """Raise UnavailableError unless a token that is counted now can be issued as well."""
        if self.is_blocked:
            raise ClockError
        if self.age_seconds > _COUNTING_AGE_SECONDS:
            raise build_stale_error()
        if not self.iat_limit.allows(self.expected_at):
            raise build_stale_error()


def build_stale_error() -> UnavailableError:
    """Return the error for a caller that needs a fresher copy than there is."""
    return UnavailableError(
        "the database does not answer right now; try again", reason="mirror_stale"
    )


def _build_reading(at: datetime, asked: Asked, spent: float, passed: datetime | None) -> Reading:
    return Reading(
        postgres=at.timestamp(),
        wall=asked.wall,
        on=asked.on,
        spent=spent,
        passed=None if passed is None else passed.timestamp(),
    )


def _tell(before: ClockState | None, now: ClockState) -> None:
    """Log what has changed, once."""
    seconds = round(now.latest.difference, 1)
    was_blocked = before is not None and before.is_blocked
    if now.has_jumped and not (before is not None and before.has_jumped):
        _log.error("clock_jumped", ahead_seconds=seconds, detail="no token is issued")
    elif now.is_doubted and before is None:
        _log.error("clock_doubted", ahead_seconds=seconds, detail=_DOUBTED)
    elif was_blocked and not now.is_blocked:
        _log.warning("clock_believed_again", ahead_seconds=seconds)
    agreed = before is None or before.latest.agrees
    if agreed and not now.latest.agrees:
        _log.warning("clocks_differ", ahead_seconds=seconds, detail="nothing expired is deleted")
    elif not agreed and now.latest.agrees:
        _log.warning("clocks_agree", ahead_seconds=seconds)
