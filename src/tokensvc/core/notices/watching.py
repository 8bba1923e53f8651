"""What is told of the use and of the age of keys, before anybody asks."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from datetime import datetime

MOST_NETWORKS: Final = 50  # of a key
IDLE_AFTER: Final = timedelta(days=90)
EXPIRY_THRESHOLDS: Final = (timedelta(days=1), timedelta(days=7), timedelta(days=30))
LEAST_UNUSUAL: Final = 100  # tokens in an hour; fewer are never unusual

_UNUSUAL_FACTOR: Final = 5
_YOUNG: Final = timedelta(days=1)
_NEARLY: Final = 0.8


def decide_expiry(created_at: datetime, expires_at: datetime, now: datetime) -> int | None:
    """Return how many days before its end a key is now told of: 30, 7 or 1; None for not yet.

    A key that was never meant to live that long is not told of it.
    """
    left = expires_at - now
    if left <= timedelta():
        return None
    for threshold in EXPIRY_THRESHOLDS:
        if left <= threshold:
            return threshold.days if expires_at - created_at > threshold else None
    return None


def decide_limit(count: int, limit: int) -> Literal[80, 100] | None:
    """Return whether 80 or 100 % of a limit is used up, None for neither."""
    if count >= limit:
        return 100
    return 80 if count >= limit * _NEARLY else None


def is_unusual(count: int, earlier_most: int, age: timedelta) -> bool:
    """Tell whether a key is used unusually much: so many tokens in the present hour.

    `earlier_most`: in the busiest of the hours of the last seven days before it. A key that is less
    than a day old has no use that would be usual.
    """
    return count > LEAST_UNUSUAL and count > _UNUSUAL_FACTOR * earlier_most and age >= _YOUNG


def is_new_network(known: int) -> bool:
    """Tell whether a network that a key was never used from is worth a notice.

    `known`: how many networks it was used from before. The first one is no surprise, and a key that
    was used from 50 moves about.
    """
    return 0 < known < MOST_NETWORKS
