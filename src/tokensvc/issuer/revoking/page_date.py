"""The date of a page of the feed, and of an answer about the audit trail.

Followers refuse what comes from the future, what has expired, and what is older than the page
before it. So nothing is dated by a clock that has jumped, nor by one that is doubted.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    from tokensvc.issuer.postgres_clock import PostgresClock


class PageDate(NamedTuple):
    """When a page counts as issued, and when it expires."""

    at: datetime
    until: datetime

    @property
    def issued_at(self) -> int:
        """The moment in seconds since 1970."""
        return int(self.at.timestamp())

    @property
    def expires_at(self) -> int:
        """The end in seconds since 1970."""
        return int(self.until.timestamp())


def date_page(postgres_clock: PostgresClock, ttl: int) -> PageDate:
    """Return the date of a page that is issued now and is of use for `ttl` seconds.

    While Postgres's clock is doubted, it is a moment that has certainly passed, so the page proves
    no freshness that it does not have. It expires by the later one of the two clocks: whichever of
    them is right, its news get through. Raises UnavailableError.
    """
    at = until = postgres_clock.steady_at
    passed = postgres_clock.iat_limit.reckon_passed(postgres_clock.on)
    if postgres_clock.is_in_doubt and passed is not None:
        until = max(postgres_clock.at, postgres_clock.wall_at)
        at = min(passed, until)
    return PageDate(at, until + timedelta(seconds=ttl))
