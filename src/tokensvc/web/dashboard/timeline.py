"""The life of signing keys on a time line: where each bar begins, and what stands in it.

Places are in hundredths of the width, so that the server draws it and no script has to.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_DAY: Final = timedelta(days=1)
_STEPS: Final = (
    *(timedelta(minutes=minutes) for minutes in (1, 5, 15)),
    *(timedelta(hours=hours) for hours in (1, 3, 6, 12)),
    *(timedelta(days=days) for days in (1, 2, 7, 14, 30, 90, 365)),
)
_MOST_TICKS: Final = 6
_NARROWEST: Final = 0.9  # of a bar, so that a short part of a life is still seen
_BESIDE_NOW: Final = 6.0  # no date is written nearer to this moment, which has a label of its own
_WIDTH_OF_LETTER: Final = 1.0  # at the narrowest window that is wide
_ASIDE: Final = 2.0  # what is left free beside a label


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseBar:
    """A part of the life of a key. `kind`: wait, on, retire, plan, as the style sheet has them."""

    kind: str
    x: float
    width: float
    label: str

    @property
    def has_room(self) -> bool:
        """Whether the label fits into it in a wide window."""
        return len(self.label) * _WIDTH_OF_LETTER + _ASIDE < self.width

    @property
    def is_tight(self) -> bool:
        """Whether the label fits only into a wide window."""
        # In a narrow window a letter takes twice the share.
        return len(self.label) * _WIDTH_OF_LETTER * 2 + 3 > self.width


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """The line of one key. `words`: what it shows, for those who do not see it."""

    key: Any
    bars: tuple[PhaseBar, ...]
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """All lines. `ticks`: places and dates, `now`: the place of this moment."""

    lanes: tuple[Lane, ...]
    ticks: tuple[tuple[float, str], ...]
    now: float


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a life, before it is drawn."""

    kind: str
    begins_at: datetime
    ends_at: datetime
    label: str


def build_timeline(keys: Sequence[Any], now: datetime, period: timedelta) -> Timeline:
    """Return the time line of keys that are published.

    `keys`: as `signing-keys.list` answers. `period`: after which the next key takes over.
    """
    oldest_at = min((key.created_at for key in keys), default=now)
    # The line shows the whole known past, unless that is too short to be seen or much longer than
    # what is to come. A little is added on both sides, so that nothing touches the edge.
    past = min(max(now - oldest_at, period * 0.15), period * 1.1)
    scale = _Scale(now - past * 1.05, now + period * 1.03)
    lanes = []
    for key in keys:
        parts = list_parts(key, keys, now, period)
        bars = tuple(bar for part in parts if (bar := scale.draw(part, now)) is not None)
        words = ", ".join(f"{part.label} until {write_date(part.ends_at)}" for part in parts)
        lanes.append(Lane(key=key, bars=bars, words=words))
    return Timeline(lanes=tuple(lanes), ticks=tuple(scale.list_ticks(now)), now=scale.place(now))


def find_end(key: Any, period: timedelta) -> datetime | None:  # noqa: ANN401 - a model
    """Return when a key stops signing, as far as it is known; None if it does not sign yet."""
    if key.superseded_at is not None or key.active_at is None:
        end: datetime | None = key.superseded_at
        return end
    planned: datetime = key.active_at + period
    return planned


def find_begin(key: Any, keys: Iterable[Any], period: timedelta) -> datetime | None:  # noqa: ANN401
    """Return when a key begins to sign, as far as it is known."""
    if key.active_at is not None:
        begin: datetime = key.active_at
        return begin
    ends = [find_end(other, period) for other in keys if other.alg == key.alg]
    return max((end for end in ends if end is not None), default=None)


def list_parts(
    key: Any,  # noqa: ANN401 - a model of the operations
    keys: Iterable[Any],
    now: datetime,
    period: timedelta,
) -> list[_Part]:
    """Return the parts of the life of a key, in order."""
    begin, end = find_begin(key, keys, period), find_end(key, period)
    parts = [_Part("wait", key.created_at, min(begin or now, now), "published")]
    if begin is None:
        return parts
    if begin > now:
        waits = "standby" if key.active_at is None else "waits"
        parts.append(_Part("plan", now, begin, waits))
        until = end or begin + period
        parts.append(_Part("plan", begin, until, f"signs from {write_date(begin)}"))
        return parts
    ended_at = min(end or now, now)
    if ended_at < now:
        label = f"signed {write_date(begin)} to {write_date(ended_at)}"
        parts.append(_Part("on", begin, ended_at, label))
        parts.append(_Part("retire", ended_at, key.safe_to_remove_at or now, "retiring"))
        return parts
    parts.append(_Part("on", begin, now, f"signs since {write_date(begin)}"))
    if end is not None and end > now:
        parts.append(_Part("plan", now, end, f"signs until {write_date(end)}"))
    return parts


def write_date(moment: datetime) -> str:
    """Return a date without its year: "27 Oct"."""
    return f"{moment.day} {moment:%b}"


class _Scale:
    """Moments become places."""

    def __init__(self, begins_at: datetime, ends_at: datetime) -> None:
        self._begins_at = begins_at
        self._ends_at = ends_at

    def place(self, moment: datetime) -> float:
        """Return the place of a moment, in hundredths of the width."""
        share = (moment - self._begins_at) / (self._ends_at - self._begins_at)
        return round(100 * min(max(share, 0.0), 1.0), 2)

    def draw(self, part: _Part, now: datetime) -> PhaseBar | None:
        """Return the bar of a part, None if it is over before the line begins."""
        if part.ends_at <= part.begins_at or part.ends_at <= self._begins_at:
            return None
        x, end = self.place(part.begins_at), self.place(part.ends_at)
        width = max(end - x, _NARROWEST)
        # What is over keeps its end and grows to the left: a bar must not reach into the future.
        if part.kind != "plan" and part.ends_at <= now:
            x = min(x, max(end - width, 0.0))
        return PhaseBar(
            kind=part.kind, x=round(x, 2), width=round(min(width, 100 - x), 2), label=part.label
        )

    def list_ticks(self, now: datetime) -> list[tuple[float, str]]:
        """Return places and dates, none of them beside this moment."""
        length = self._ends_at - self._begins_at
        step = next((step for step in _STEPS if length / step <= _MOST_TICKS), _STEPS[-1])
        # The first whole step (a full hour, midnight) behind the beginning: rounded up.
        first = -(-self._begins_at.timestamp() // step.total_seconds()) * step.total_seconds()
        here, ticks = self.place(now), []
        moment = datetime.fromtimestamp(first, UTC)
        while moment < self._ends_at:
            place = self.place(moment)
            text = write_date(moment) if step >= _DAY else f"{moment:%H:%M}"
            # No date is written where it would reach over the edge, either.
            if abs(place - here) > _BESIDE_NOW and 3 < place < 97:  # noqa: PLR2004
                ticks.append((place, text))
            moment += step
        return ticks
