"""The usage of a key, as bars for people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_WIDTH: Final = 40
_MOST_LINES: Final = 72  # if there are more hours, a bar stands for a day
_ISSUED: Final = "issued"


def draw_usage(usage: Mapping[str, Any]) -> str:
    """Return the answer of `usage.show`, or a part of that of `usage.list`, as text."""
    issued = sum(hour[_ISSUED] for hour in usage["hours"])
    facts = [f"last used  {_describe_last_use(usage['last_used'])}", f"tokens     {issued}"]
    return "\n".join([*facts, *list_windows(usage), "", draw_counts(usage)])


def list_windows(usage: Mapping[str, Any]) -> list[str]:
    """Return a line for each limit with what is used of it; none if the answer has no limits."""
    return [
        f"this {name:<6} {usage[name]['used']:>8} of {usage[name]['limit']}"
        for name in ("minute", "day")
        if name in usage
    ]


def draw_counts(usage: Mapping[str, Any]) -> str:
    """Return the bars alone: one for each hour, or for each day if there are too many hours."""
    since, until = _parse(usage["since"]), _parse(usage["until"])
    step = _HOUR if (until - since) / _HOUR <= _MOST_LINES else _DAY
    sums = _sum_by(step, usage["hours"])
    issued = [counts[_ISSUED] for counts in sums.values()]
    lines = []
    moment = _floor(since, step) + (step if step == _HOUR else timedelta())
    while moment <= until:
        lines.append(_draw_line(moment, sums.get(moment, {}), max(issued, default=0), step))
        moment += step
    return "\n".join(lines)


def _draw_line(moment: datetime, counts: Mapping[str, int], most: int, step: timedelta) -> str:
    issued = counts.get(_ISSUED, 0)
    bar = "\u2588" * round(_WIDTH * issued / most) if most else ""
    refused = ", ".join(
        f"{count} {outcome}" for outcome, count in sorted(counts.items()) if outcome != _ISSUED
    )
    label = f"{moment:%m-%d %H:00}" if step == _HOUR else f"{moment:%Y-%m-%d}"
    more = f"refused: {refused}" if refused else ""
    return f"{label}  {bar or '.':<{_WIDTH}}  {issued:>8}  {more}".rstrip()


def _sum_by(step: timedelta, hours: Iterable[Mapping[str, Any]]) -> dict[datetime, dict[str, int]]:
    """Return the counts by outcome of each hour or day in which something happened."""
    sums: dict[datetime, dict[str, int]] = {}
    for hour in hours:
        counts = sums.setdefault(_floor(_parse(hour["hour"]), step), {_ISSUED: 0})
        for outcome, count in {_ISSUED: hour["issued"], **hour["refused"]}.items():
            counts[outcome] = counts.get(outcome, 0) + count
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
