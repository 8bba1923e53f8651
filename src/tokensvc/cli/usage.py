"""The usage of a key, as bars for people."""

from __future__ import annotations

import textwrap
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_WIDTH: Final = 40
_MOST_LINES: Final = 72  # if there are more hours, a bar stands for a day
_ISSUED: Final = "issued"
_REFUSED: Final = "refused"


def draw_usage(usage: Mapping[str, Any], room: int | None = None) -> str:
    """Return the answer of `usage.show`, or a part of that of `usage.list`, as text.

    `room`: how wide it may be, None for no limit.
    """
    issued = sum(hour[_ISSUED] for hour in usage["hours"])
    facts = [f"last used   {_describe_last_use(usage['last_used'])}", f"tokens      {issued:>8}"]
    return "\n".join([*facts, *list_windows(usage), "", draw_counts(usage, room)])


def list_windows(usage: Mapping[str, Any]) -> list[str]:
    """Return a line for each limit with what is used of it; none if the answer has no limits."""
    return [
        f"this {name:<6} {usage[name]['used']:>8} of {usage[name]['limit']}"
        for name in ("minute", "day")
        if name in usage
    ]


def draw_counts(usage: Mapping[str, Any], room: int | None = None) -> str:
    """Return the bars alone: one for each hour, or for each day if there are too many hours.

    Beside a bar stands why requests were refused. If that is wider than `room`, only their number
    stands there, and why they were refused stands once below the bars.
    """
    since, until = _parse(usage["since"]), _parse(usage["until"])
    step = _HOUR if (until - since) / _HOUR <= _MOST_LINES else _DAY
    sums = _sum_by(step, usage["hours"])
    bars: dict[str, Counter[str]] = {}
    # The service tells only of hours that began after `since`. Of the first day it tells a part.
    moment = _floor(since, step) + (step if step == _HOUR else timedelta())
    while moment <= until:
        label = f"{moment:%m-%d %H:00}" if step == _HOUR else f"{moment:%Y-%m-%d}"
        bars[label] = sums.get(moment, Counter())
        moment += step
    most = max((counts[_ISSUED] for counts in sums.values()), default=0)
    lines = [_draw_line(label, counts, most) for label, counts in bars.items()]
    if room is None or max(map(len, lines), default=0) <= room:
        return "\n".join(lines)
    lines = [_draw_line(label, _add_refused_up(counts), most) for label, counts in bars.items()]
    reasons = _list_refused(sum(bars.values(), Counter()))
    return "\n".join([*lines, "", textwrap.fill(f"{_REFUSED}: {reasons}", room)])


def _draw_line(label: str, counts: Counter[str], most: int) -> str:
    bar = "\u2588" * round(_WIDTH * counts[_ISSUED] / most) if most else ""
    refused = _list_refused(counts)
    more = f"{_REFUSED}: {refused}" if refused else ""
    return f"{label}  {bar or '.':<{_WIDTH}}  {counts[_ISSUED]:>8}  {more}".rstrip()


def _list_refused(counts: Counter[str]) -> str:
    """Return how many were refused for each reason."""
    return ", ".join(
        f"{count} {reason}".rstrip()
        for reason, count in sorted(counts.items())
        if reason != _ISSUED
    )


def _add_refused_up(counts: Counter[str]) -> Counter[str]:
    """Return counts in which all reasons are one without a name."""
    refused = counts.total() - counts[_ISSUED]
    return Counter({_ISSUED: counts[_ISSUED]} | ({"": refused} if refused else {}))


def _sum_by(step: timedelta, hours: Iterable[Mapping[str, Any]]) -> dict[datetime, Counter[str]]:
    """Return the counts by outcome of each hour or day in which something happened."""
    sums: dict[datetime, Counter[str]] = {}
    for hour in hours:
        counts = sums.setdefault(_floor(_parse(hour["hour"]), step), Counter())
        counts.update({_ISSUED: hour["issued"]} | hour["refused"])
    return sums


def _floor(moment: datetime, step: timedelta) -> datetime:
    hour = moment.replace(minute=0, second=0, microsecond=0)
    return hour if step == _HOUR else hour.replace(hour=0)


def _describe_last_use(last: Mapping[str, Any] | None) -> str:
    if last is None:
        return "never"
    at = _parse(last["at"])
    return f"{at:%Y-%m-%d %H:%M:%S} UTC from {last['network']} for {last['audience']}"


def _parse(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
