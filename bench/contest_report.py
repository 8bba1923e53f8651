"""What a contest is told as: a table in Markdown, ratios, and JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from bench.contest import Figure, list_ratios

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bench.contest import Turn

_HEADINGS: Final = ("a second", "p99, ms", "service", "database", "both")


def build_table(title: str, turns: Mapping[str, Sequence[Turn]]) -> str:
    """Return a table of all contestants: the median of each figure, and how far it spreads.

    Service, database and both are milliseconds of processor time for 1,000 requests.
    """
    return _join_rows(
        [[title, *_HEADINGS], *(_build_row(name, seen) for name, seen in turns.items())]
    )


def _join_rows(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [_join(row, widths) for row in rows]
    rule = "|".join(["", "-" * (widths[0] + 2), *("-" * (w + 1) + ":" for w in widths[1:]), ""])
    return "\n".join([lines[0], rule, *lines[1:]])


def _build_row(name: str, turns: Sequence[Turn]) -> list[str]:
    rate = Figure.of(turn.per_second for turn in turns)
    wrong = sum(turn.wrong for turn in turns)
    marked = f"{name} ({wrong} WRONG ANSWERS)" if wrong else name
    database = Figure.of(turn.database for turn in turns).median
    return [
        marked,
        f"{rate.median:,.0f} ({rate.lowest:,.0f} to {rate.highest:,.0f})",
        f"{Figure.of(turn.run.p99 for turn in turns).median:.1f}",
        f"{Figure.of(turn.service for turn in turns).median:.0f}",
        f"{database:.0f}" if database else "-",
        tell(Figure.of(turn.cost for turn in turns), digits=0),
    ]


def _join(row: Sequence[str], widths: Sequence[int]) -> str:
    first = row[0].ljust(widths[0])
    others = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
    return f"| {' | '.join([first, *others])} |"


def tell(figure: Figure, *, digits: int = 2) -> str:
    """Return a figure with its spread."""
    low, high = f"{figure.lowest:,.{digits}f}", f"{figure.highest:,.{digits}f}"
    return f"{figure.median:,.{digits}f} ({low} to {high})"


def build_ratios(turns: Mapping[str, Sequence[Turn]], pairs: Iterable[tuple[str, str]]) -> str:
    """Return a table of how those compare that took part: the median of the ratios, the spread."""
    reads: dict[str, Callable[[Turn], float]] = {
        "a second": lambda turn: turn.per_second,
        "CPU of the service": lambda turn: turn.service,
        "CPU of both": lambda turn: turn.cost,
    }
    rows = [["ratio", *reads]]
    for one, other in pairs:
        if one in turns and other in turns:
            ratios = [Figure.of(list_ratios(turns, one, other, read)) for read in reads.values()]
            rows.append([f"{one} / {other}", *map(tell, ratios)])
    return _join_rows(rows)


def build_json(turns: Mapping[str, Sequence[Turn]]) -> dict[str, Any]:
    """Return every turn, with what follows from it."""
    return {
        name: [asdict(turn) | {"cost": turn.cost} for turn in seen] for name, seen in turns.items()
    }
