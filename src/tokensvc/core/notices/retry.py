"""When a delivery is tried again, and when an endpoint is given up.

The pauses are those that Standard Webhooks recommends: the last attempt comes three days after the
first one.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

PAUSES: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
GIVEN_UP_AFTER: Final = timedelta(days=3)

_FIRST_HOLD: Final = timedelta(seconds=5)
_LONGEST_HOLD: Final = timedelta(minutes=5)
# With the sixth doubling the longest hold is reached, and no number grows beyond it.
_MOST_DOUBLINGS: Final = 6
_SPREAD: Final = 0.1


def decide_pause(attempts: int, chance: float) -> timedelta | None:
    """Return how long a delivery waits after so many failed attempts, None if it is given up.

    `chance` (0 to 1) makes the pause up to a tenth longer, so that receivers which failed together
    are not tried together.
    """
    if attempts > len(PAUSES):
        return None
    return PAUSES[max(attempts, 1) - 1] * (1 + _SPREAD * chance)


def decide_hold(failures: int) -> timedelta:
    """Return how long an endpoint is left alone after so many failures one after the other.

    What waits for it is not lost by that: it goes out when the endpoint answers again.
    """
    doublings = min(max(failures, 1) - 1, _MOST_DOUBLINGS)
    return min(_LONGEST_HOLD, _FIRST_HOLD * (1 << doublings))


def is_given_up(failing_since: datetime | None, now: datetime) -> bool:
    """Tell whether an endpoint has failed for so long that it is disabled."""
    return failing_since is not None and now - failing_since >= GIVEN_UP_AFTER
