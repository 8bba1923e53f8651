"""The usage of a key: as JSON for programs, and as bars for people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.usage import ISSUED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tokensvc.core.usage import HourOfUse, LastUse

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_WIDTH: Final = 40
_MOST_LINES: Final = 72  # if there are more hours, a bar stands for a day


def build_usage(key_id: str, hours: Sequence[HourOfUse], last: LastUse | None) -> dict[str, Any]:
    """Return usage as JSON. Only hours in which something happened are in it."""
    return {
        "id": key_id,
        "last_used": None if last is None else _build_last_use(last),
        "hours": [
            {
                "hour": _to_text(hour),
                "issued": counts.get(ISSUED, 0),
                "refused": {outcome: n for outcome, n in counts.items() if outcome != ISSUED},
            }
            for hour, counts in _sum_by(_HOUR, hours).items()
        ],
    }


def draw_usage(
    hours: Sequence[HourOfUse], last: LastUse | None, *, since: datetime, until: datetime
) -> str:
    """Return usage as text: a bar for each hour, or for each day if there are too many hours."""
    step = _HOUR if (until - since) / _HOUR <= _MOST_LINES else _DAY
    sums = _sum_by(step, hours)
    issued = [counts.get(ISSUED, 0) for counts in sums.values()]
    lines = [f"last used  {_describe_last_use(last)}", f"tokens     {sum(issued)}", ""]
    moment = _floor(since, step) + (step if step == _HOUR else timedelta())
    while moment <= until:
        lines.append(_draw_line(moment, sums.get(moment, {}), max(issued, default=0), step))
        moment += step
    return "\n".join(lines)


def _draw_line(moment: datetime, counts: Mapping[str, int], most: int, step: timedelta) -> str:
    issued = counts.get(ISSUED, 0)
    bar = "\u2588" * round(_WIDTH * issued / most) if most else ""
    refused = ", ".join(
        f"{count} {outcome}" for outcome, count in sorted(counts.items()) if outcome != ISSUED
    )
    label = f"{moment:%m-%d %H:00}" if step == _HOUR else f"{moment:%Y-%m-%d}"
    more = f"refused: {refused}" if refused else ""
    return f"{label}  {bar or '.':<{_WIDTH}}  {issued:>8}  {more}".rstrip()


def _sum_by(step: timedelta, hours: Sequence[HourOfUse]) -> dict[datetime, dict[str, int]]:
    """Return the counts by outcome of each hour or day in which something happened."""
    sums: dict[datetime, dict[str, int]] = {}
    for hour in hours:
        counts = sums.setdefault(_floor(hour.hour, step), {})
        counts[hour.outcome] = counts.get(hour.outcome, 0) + hour.count
    return sums


def _floor(moment: datetime, step: timedelta) -> datetime:
    hour = moment.replace(minute=0, second=0, microsecond=0)
    return hour if step == _HOUR else hour.replace(hour=0)


def _build_last_use(last: LastUse) -> dict[str, str]:
    at = datetime.fromtimestamp(last.at, UTC)
    return {"at": _to_text(at), "network": last.network, "audience": last.audience}


def _describe_last_use(last: LastUse | None) -> str:
    if last is None:
        return "never"
    at = datetime.fromtimestamp(last.at, UTC)
    return f"{at:%Y-%m-%d %H:%M:%S} UTC from {last.network} for {last.audience}"


def _to_text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
