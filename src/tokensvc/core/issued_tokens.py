"""About how many tokens were issued in a part of the last hours.

There is no row for each token: uses are counted by the hour. Within an hour they are taken to be
spread evenly.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tokensvc.core.usage import ISSUED

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from tokensvc.core.usage import HourOfUse

_HOUR: Final = timedelta(hours=1)


class IssuedTokens:
    """The tokens that were issued between two moments, and may live."""

    def __init__(self, hours: Iterable[HourOfUse], since: datetime, until: datetime) -> None:
        self._hours = [(use.hour, use.count) for use in hours if use.outcome == ISSUED]
        self._since = since
        self._until = until

    def count(self, begins_at: datetime, ends_at: datetime | None) -> int:
        """Return about how many of them were issued from `begins_at` on, until `ends_at`."""
        begin = max(begins_at, self._since)
        end = self._until if ends_at is None else min(ends_at, self._until)
        found = 0.0
        for hour, count in self._hours:
            known = min(hour + _HOUR, self._until) - hour  # the present hour is not over
            shared = min(end, hour + known) - max(begin, hour)
            if shared > timedelta(0):
                found += count * (shared / known)
        return round(found)
