"""A value as people read it: one line, a moment with its zone or as a distance from now."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Final

_MOMENT_NAME: Final = re.compile(r"(^|_)(at|since|until)$")
# Fields that hold a moment as seconds since 1970, as tokens and the feed do.
_SECONDS_NAMES: Final = frozenset({"iat", "exp", "upto", "expires"})
_LAST_SECOND: Final = datetime.max.replace(tzinfo=UTC).timestamp() - 1
_MOMENT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_UNITS: Final = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
_ENOUGH: Final = 2  # units at least, else the next smaller one: "90 min" and not "1 h"


def build_cell(name: str, value: object, now: datetime | None = None) -> str:
    """Return the text of a field on one line; a moment is its distance from `now`, if given."""
    if name in _SECONDS_NAMES and isinstance(value, int) and 0 <= value <= _LAST_SECOND:
        value, name = f"{datetime.fromtimestamp(value, UTC):%Y-%m-%dT%H:%M:%SZ}", "at"
    # Otherwise whoever names a key could command the terminal, or begin a line or a column of a
    # table.
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], build_text(name, value, now))


def build_text(name: str, value: object, now: datetime | None = None) -> str:
    """As `build_cell`, but line ends and other control characters of the value stay."""
    match value:
        case None:
            return "-"
        case str() if _MOMENT_NAME.search(name) and _MOMENT.fullmatch(value):
            plain = value[:19].replace("T", " ") + "Z"
            return plain if now is None else describe_distance(datetime.fromisoformat(value), now)
        case list():
            return " ".join(build_text("", item) for item in value)
        case dict():
            return json.dumps(value)
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)


def describe_distance(moment: datetime, now: datetime) -> str:
    """Return how far a moment is from now: `3 h ago`, `in 89 d`."""
    seconds = round((moment.astimezone(UTC) - now).total_seconds())
    for unit, length in _UNITS:
        if abs(seconds) >= _ENOUGH * length or unit == "s":
            count = abs(seconds) // length
            break
    return f"in {count} {unit}" if seconds > 0 else f"{count} {unit} ago"
