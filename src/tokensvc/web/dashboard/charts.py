"""Exchanges over time: what a chart draws, and the table under it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_HOUR: Final = 3600
_LIMITED: Final = "_limited"  # the end of the reasons that are limits
_SPARK_HEIGHT: Final = 21  # two less than the foot: three parts, each rounded up, may add two
_SPARK_FOOT: Final = 23
_MOST_ROWS: Final = 12


class Range(NamedTuple):
    """How far back a chart goes. `name`: in an address. `width`: of a bar, in hours."""

    name: str
    label: str
    words: str
    hours: int
    width: int

    @property
    def seconds(self) -> int:
        """How far back usage must be read, so that the first bar is whole."""
        return (self.hours + self.width) * _HOUR


OF_KEYS: Final = (
    Range("48h", "48 h", "48 hours", 48, 1),
    Range("30d", "30 d", "30 days", 30 * 24, 24),
    Range("90d", "90 d", "90 days", 90 * 24, 24),
)
SPARK: Final = Range("36h", "36 h", "36 hours", 36, 1)
OF_MANY: Final = (
    Range("24h", "24 h", "24 hours", 24, 1),
    Range("7d", "7 d", "7 days", 7 * 24, 6),
    Range("30d", "30 d", "30 days", 30 * 24, 24),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Some hours of exchanges."""

    begins_at: datetime
    issued: int = 0
    refused: int = 0
    limited: int = 0


class Reason(NamedTuple):
    """Why exchanges got no token. `last`: the hour in which that happened last."""

    name: str
    times: int
    last: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """Exchanges over time, and why some got no token, the most frequent reason first.

    `width`: of a bar, in seconds.
    """

    bars: tuple[Bar, ...]
    reasons: tuple[Reason, ...]
    width: int

    @property
    def issued(self) -> int:
        """How many got a token."""
        return sum(bar.issued for bar in self.bars)

    @property
    def refused(self) -> int:
        """How many were refused for other reasons than limits."""
        return sum(bar.refused for bar in self.bars)

    @property
    def limited(self) -> int:
        """How many were over a limit."""
        return sum(bar.limited for bar in self.bars)

    @property
    def is_empty(self) -> bool:
        """Whether nothing happened."""
        return not (self.issued or self.refused or self.limited)

    @property
    def data(self) -> dict[str, Any]:
        """What the script draws."""

        def series(key: str, label: str) -> dict[str, Any]:
            return {"key": key, "label": label, "values": [getattr(bar, key) for bar in self.bars]}

        upper = {"kind": "area", "height": 150, "series": [series("issued", "Issued")]}
        refusals = [series("refused", "Refused"), series("limited", "Over a limit")]
        lower = {"kind": "bars", "height": 80, "series": refusals}
        x = [int(bar.begins_at.timestamp()) for bar in self.bars]
        return {"x": x, "panels": [upper, lower] if self.has_refusals else [upper]}

    @property
    def has_refusals(self) -> bool:
        """Whether somebody got no token."""
        return bool(self.refused or self.limited)

    @property
    def rows(self) -> list[Bar]:
        """The bars as a few rows of a table."""
        step = -(-len(self.bars) // _MOST_ROWS)  # rounded up
        return [_sum(self.bars[at : at + step]) for at in range(0, len(self.bars), step)]


def build_outcomes(hours: Iterable[Any], until: datetime, wanted: Range) -> Outcomes:
    """Return the bars of a range.

    `hours`: as `usage.show` answers, oldest first, without those in which nothing happened.
    """
    # Bars begin at whole multiples of their width since 1970, so they do not move while time goes
    # on; the last one is not over yet.
    width = wanted.width * _HOUR
    last = int(until.timestamp()) // width * width
    begins = range(last - (wanted.hours // wanted.width - 1) * width, last + 1, width)
    bars = {at: [0, 0, 0] for at in begins}
    reasons: dict[str, Reason] = {}
    for hour in hours:
        bar = bars.get(int(hour.hour.timestamp()) // width * width)
        if bar is None:
            continue
        limited, refused = _split(hour.refused)
        bar[0] += hour.issued
        bar[1] += refused
        bar[2] += limited
        for name, number in hour.refused.items():
            before = reasons[name].times if name in reasons else 0
            reasons[name] = Reason(name, before + number, hour.hour)
    return Outcomes(
        bars=tuple(
            Bar(begins_at=datetime.fromtimestamp(at, UTC), issued=i, refused=r, limited=x)
            for at, (i, r, x) in bars.items()
        ),
        reasons=tuple(sorted(reasons.values(), key=lambda reason: -reason.times)),
        width=width,
    )


def build_spark(hours: Iterable[Any], until: datetime) -> dict[str, Any]:
    """Return the arguments of the macro `spark`: 36 hours, drawn by the server."""
    outcomes = build_outcomes(hours, until, SPARK)
    highest = max((b.issued + b.refused + b.limited for b in outcomes.bars), default=0) or 1

    paths = {"issued": "", "limited": "", "refused": ""}
    for number, bar in enumerate(outcomes.bars):
        y = _SPARK_FOOT
        for outcome in paths:  # one above the other
            # Rounded up, so that a single exchange is seen. A bar is three wide, with one between.
            height = -(-getattr(bar, outcome) * _SPARK_HEIGHT // highest)
            y -= height
            if height:
                paths[outcome] += f"M{4 * number} {y}h3v{height}h-3z"
    return {
        "bars": [(outcome, path) for outcome, path in paths.items() if path],
        "issued": outcomes.issued,
        "refused": outcomes.refused,
        "limited": outcomes.limited,
    }


def was_limited(hours: Iterable[Any], until: datetime) -> bool:
    """Tell whether a key was over a limit in the hour that runs, or in the one before."""
    since = until - timedelta(seconds=2 * _HOUR)
    return any(hour.hour > since and _split(hour.refused)[0] for hour in hours)


def list_windows(minute: Any, day: Any) -> list[tuple[str, str, Any, int]]:  # noqa: ANN401 - models
    """Return label, id, window and used percentage of the two windows of a limit."""
    return [
        (label, name, window, min(100, 100 * window.used // window.limit))
        for label, name, window in (("This minute", "minute", minute), ("Today", "day", day))
    ]


def find_range(wanted: str | None, ranges: Sequence[Range]) -> Range:
    """Return the range that an address names, the first one if it names none."""
    return next((each for each in ranges if each.name == wanted), ranges[0])


def _split(refused: Mapping[str, int]) -> tuple[int, int]:
    limited = sum(count for reason, count in refused.items() if reason.endswith(_LIMITED))
    return limited, sum(refused.values()) - limited


def _sum(bars: Sequence[Bar]) -> Bar:
    return Bar(
        begins_at=bars[0].begins_at,
        issued=sum(bar.issued for bar in bars),
        refused=sum(bar.refused for bar in bars),
        limited=sum(bar.limited for bar in bars),
    )
