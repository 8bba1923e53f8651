"""Whether Postgres's clock can be believed: it is compared with two clocks of this process.

    Reading (three clocks, read together)  ->  judge_clock  ->  ClockState

Elapsed monotonic time tells a jump of Postgres's clock from a wrong wall clock of this process.
While Postgres's clock keeps pace with the monotonic clock, a difference to the wall clock is the
wall clock's fault: it is measured, and the service goes on. After a jump no token is issued until
the two agree, or until the jump was taken back.

A process that has just started knows of no elapsed time. If its first reading shows a difference,
either clock may be wrong, so Postgres's is doubted: no token is issued until the two agree, or
until a process that has watched Postgres's clock for longer vouches for it.

What is deleted for good needs more: `collectable_at` is the earliest moment of all three clocks.
A process that has just started also asks what is certain to have passed, because both of the clocks
that it reads may be wrong, even in the same way.
What somebody else may have deleted is judged by the latest moment, `latest_at`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

TOLERANCE: Final = 5.0  # seconds: clocks that are no further apart agree

# All in seconds. Steps add up until the clocks have kept pace for `_QUIET`.
_STEP: Final = 0.5
_QUIET: Final = 600.0
# Elapsed time is counted from a later moment only after this long without a jump. It is long,
# because what is deleted too early cannot be had again.
_TRUSTED_AFTER: Final = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Three clocks, in seconds: Postgres's, and this process's wall clock and monotonic clock.

    `wall` and `on` were read just before Postgres was asked, and the answer took `spent` seconds.
    Postgres read its own clock at some moment of those; whatever is doubtful for that reason is
    taken as no difference. `passed` is a moment that has certainly passed, by what other processes
    have seen, if one is known.
    """

    postgres: float
    wall: float
    on: float
    spent: float = 0.0
    passed: float | None = None

    @property
    def difference(self) -> float:
        """Return by how much Postgres's clock is ahead of the wall clock; negative if behind."""
        ahead = self.postgres - self.wall
        return _nearest_to_zero(ahead - self.spent, ahead)

    @property
    def agrees(self) -> bool:
        """Tell whether the two clocks agree."""
        return abs(self.difference) <= TOLERANCE

    def reckon(self, on: float) -> float:
        """Return what Postgres's clock says at the monotonic moment `on` if it does not jump."""
        # Postgres read its clock while the answer was on its way: the middle is wrong by half of
        # that time at most.
        return self.postgres + on - self.on - self.spent / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockState:
    """What is known of Postgres's clock after the `latest` reading.

    `anchor`: the reading that jumps are measured from. `base`: an older one, from which elapsed
    time is counted before anything is deleted; it is no later than what had certainly passed when
    the process started. `furthest`: the one by which Postgres's clock would be latest now.
    `stepped_on`, `jumped_on`: when the last step and the last jump were seen. `has_jumped`: a jump
    is not believed. `is_doubted`: the two clocks have differed since the first reading.
    """

    latest: Reading
    anchor: Reading
    base: Reading
    furthest: Reading
    stepped_on: float
    jumped_on: float
    has_jumped: bool = False
    is_doubted: bool = False

    @property
    def is_blocked(self) -> bool:
        """Whether no token must be issued."""
        return self.has_jumped or self.is_doubted

    @property
    def latest_at(self) -> float:
        """Return the latest moment that Postgres's clock can have shown (seconds).

        It may have been set back since. A process that read it before may have deleted what had
        expired.
        """
        return max(self.latest.postgres, self.furthest.reckon(self.latest.on))

    @property
    def earliest(self) -> float:
        """Return the earliest moment that it can be now, by all clocks (seconds)."""
        latest, base = self.latest, self.base
        # Without all of `spent`, because the earliest moment is wanted.
        return min(latest.postgres, latest.wall, base.postgres + latest.on - base.on - base.spent)

    @property
    def doubt(self) -> float:
        """Return how far apart the earliest and the latest moment are that it can be (seconds)."""
        return max(self.latest_at, self.latest.wall) - self.earliest

    @property
    def collectable_at(self) -> float | None:
        """Return up to which moment of expiry things may be deleted (seconds).

        None while Postgres's clock and the wall clock disagree: nothing must be deleted then.
        """
        return self.earliest if self.latest.agrees else None


def judge_clock(
    before: ClockState | None, reading: Reading, *, is_vouched: bool = False
) -> ClockState:
    """Return what is known after a reading. `before` is None at the first one.

    `is_vouched`: a process that believes Postgres's clock has just issued a token by it.
    """
    if before is None:
        return _begin(reading, is_vouched=is_vouched)
    # While the clock is doubted, no reading can be measured from: each one begins anew.
    anchor = reading if before.is_doubted else before.anchor
    base = _bound(reading) if before.is_doubted else before.base
    step = abs(find_jump(before.latest, reading))
    stepped_on = reading.on if step > _STEP else before.stepped_on
    jumped_on = reading.on if step > TOLERANCE else before.jumped_on
    is_far = abs(find_jump(anchor, reading)) > TOLERANCE
    # A jump is believed only if the two clocks agree after it. One that only comes closer to the
    # wall clock proves nothing, because the wall clock may be the wrong one.
    has_jumped = is_far and not reading.agrees
    if is_far:
        jumped_on = reading.on
    # If both clocks have jumped to the same moment, they are believed while they agree. But the
    # anchor follows only after a quiet time: both may be wrong, and one of them be corrected soon.
    if not has_jumped and _is_quiet(reading, anchor.on, stepped_on, _QUIET):
        anchor = reading
    if not has_jumped and _is_quiet(reading, base.on, jumped_on, _TRUSTED_AFTER):
        base = reading
    is_furthest = reading.postgres > before.furthest.reckon(reading.on)
    return ClockState(
        latest=reading,
        anchor=anchor,
        base=base,
        furthest=reading if is_furthest else before.furthest,
        stepped_on=stepped_on,
        jumped_on=jumped_on,
        has_jumped=has_jumped,
        is_doubted=before.is_doubted and not reading.agrees and not is_vouched,
    )


def _begin(reading: Reading, *, is_vouched: bool) -> ClockState:
    """Return what is known after the first reading."""
    return ClockState(
        latest=reading,
        anchor=reading,
        base=_bound(reading),
        furthest=reading,
        stepped_on=reading.on,
        jumped_on=reading.on,
        is_doubted=not reading.agrees and not is_vouched,
    )


def _bound(reading: Reading) -> Reading:
    """Return a reading whose clock of Postgres is not ahead of what has certainly passed."""
    passed = reading.passed
    return reading if passed is None else replace(reading, postgres=min(reading.postgres, passed))


def find_jump(earlier: Reading, later: Reading) -> float:
    """Return by how many seconds Postgres's clock has jumped between two readings."""
    jump = (later.postgres - earlier.postgres) - (later.on - earlier.on)
    return _nearest_to_zero(jump - later.spent, jump + earlier.spent)


def _is_quiet(reading: Reading, taken_on: float, moved_on: float, seconds: float) -> bool:
    return reading.on - max(taken_on, moved_on) >= seconds and reading.spent <= _STEP


def _nearest_to_zero(lowest: float, highest: float) -> float:
    return max(lowest, min(0.0, highest))
