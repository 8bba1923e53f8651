"""Usage of a key, for programs and as bars for people."""

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
_MOST_LINES: Final = 72  # beyond that many hours, a bar is a day


def build_usage(key_id: str, hours: Sequence[HourOfUse], last: LastUse | None) -> dict[str, Any]:
    """Return usage as JSON: only hours in which something happened."""
    return {
        "id": key_id,
        "last_used": None
        if last is None
        else {"at": _iso(datetime.fromtimestamp(last.at, UTC)), **_where(last)},
        "hours": [
            {
                "hour": _iso(hour),
                "issued": counts.get(ISSUED, 0),
                "refused": {o: n for o, n in counts.items() if o != ISSUED},
            }
            for hour, counts in _sum_by(_HOUR, hours).items()
        ],
    }


def draw_usage(
    hours: Sequence[HourOfUse], last: LastUse | None, *, since: datetime, until: datetime
) -> str:
    """Return usage as text: a bar an hour, or a day if there would be too many."""
    step = _HOUR if (until - since) / _HOUR <= _MOST_LINES else _DAY
    sums = _sum_by(step, hours)
    most = max((counts.get(ISSUED, 0) for counts in sums.values()), default=0)
    used = (
        "never"
        if last is None
        else f"{datetime.fromtimestamp(last.at, UTC):%Y-%m-%d %H:%M:%S} UTC from {last.network} for {last.audience}"
    )
    lines = [
        f"last used  {used}",
        f"tokens     {sum(counts.get(ISSUED, 0) for counts in sums.values())}",
        "",
    ]
    moment = _floor(since, step) + (step if step == _HOUR else timedelta())
    while moment <= until:
        lines.append(_draw_line(moment, sums.get(moment, {}), most, step))
        moment += step
    return "\n".join(lines)


def _draw_line(moment: datetime, counts: Mapping[str, int], most: int, step: timedelta) -> str:
    issued = counts.get(ISSUED, 0)
    bar = "\u2588" * round(_WIDTH * issued / most) if most else ""
    refused = ", ".join(
        f"{count} {outcome}" for outcome, count in sorted(counts.items()) if outcome != ISSUED
    )
    label = f"{moment:%m-%d %H:00}" if step == _HOUR else f"{moment:%Y-%m-%d}"
    return f"{label}  {bar or '.':<{_WIDTH}}  {issued:>8}  {refused and 'refused: ' + refused}".rstrip()


def _sum_by(step: timedelta, hours: Sequence[HourOfUse]) -> dict[datetime, dict[str, int]]:
    sums: dict[datetime, dict[str, int]] = {}
    for hour in hours:
        counts = sums.setdefault(_floor(hour.hour, step), {})
        counts[hour.outcome] = counts.get(hour.outcome, 0) + hour.count
    return sums


def _floor(moment: datetime, step: timedelta) -> datetime:
    hour = moment.replace(minute=0, second=0, microsecond=0)
    return hour if step == _HOUR else hour.replace(hour=0)


def _where(last: LastUse) -> dict[str, str]:
    return {"network": last.network, "audience": last.audience}


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
