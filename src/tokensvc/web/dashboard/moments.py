"""Moments and numbers in words, as pages show them. All times are UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from tokensvc.core.errors import InvalidInputError

_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400
_RECENT_DAYS: Final = 14


def parse_day(text: str, field: str) -> tuple[datetime, datetime]:
    """Return when a day begins and ends that was typed into a field. Raises InvalidInputError."""
    try:
        begin = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
        return begin, begin + timedelta(days=1)
    except (ValueError, OverflowError):  # no date, or the last one that Python knows
        raise InvalidInputError("it must be a date like 2027-01-31", pointer=f"/{field}") from None


def write_span(seconds: float) -> str:
    """Return a length of time: "12 s", "3 min", "5 h", "6 days"."""
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < 2 * _DAY:
        return f"{whole // _HOUR} h"
    return f"{whole // _DAY} days"


def write_moment(moment: datetime, now: datetime) -> str:
    """Return a moment: "12 s ago", "in 6 days", or a date if it is far away."""
    away = (moment - now).total_seconds()
    if abs(away) > _RECENT_DAYS * _DAY:
        return write_day(moment)
    return f"in {write_span(away)}" if away > 0 else f"{write_span(-away)} ago"


def write_day(moment: datetime) -> str:
    """Return a date: "14 Feb 2027"."""
    return f"{moment.day} {moment:%b %Y}"


def write_clock(moment: datetime) -> str:
    """Return a moment to the second: "14 Feb 2027 08:02:11"."""
    return f"{write_day(moment)} {moment:%H:%M:%S}"


def write_iso(moment: datetime) -> str:
    """Return a moment for machines (RFC 3339)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def write_number(number: int) -> str:
    """Return a number with a comma between thousands."""
    return f"{number:,}"


def find_day(now: datetime, days: float) -> str:
    """Return the date that lies `days` after now."""
    return write_day(now + timedelta(days=days))
