"""Printing: results to stdout, messages to stderr; `-o json` for programs, tables for people."""

from __future__ import annotations

import json
import re
import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Row = dict[str, Any]

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_FIELD: Final = "tokensvc.field"
_MOST_SECONDS: Final = 100 * 366 * 86400
_DURATION = re.compile(r"(\d{1,6})([smhdw])")


class Duration(click.ParamType[timedelta]):
    """A duration: 30s, 10m, 24h, 90d, 2w; `now` or `never` where zero has such a meaning."""

    name = "duration"

    def __init__(self, zero: str | None = None) -> None:
        self._zero = zero

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's own signature
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> timedelta:
        """Parse."""
        if isinstance(value, timedelta):
            return value
        if self._zero is not None and value in {self._zero, "0"}:
            return timedelta()
        match = _DURATION.fullmatch(value)
        if match is None:
            other = f" or {self._zero}" if self._zero else ""
            self.fail(f"{value!r} is no duration: write 30s, 10m, 24h, 90d, 2w{other}", param, ctx)
        seconds = int(match[1]) * _UNITS[match[2]]
        if seconds > _MOST_SECONDS:
            self.fail(f"{value!r} is longer than a hundred years", param, ctx)
        return timedelta(seconds=seconds)


def output_option(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `-o text|json`, which arrives as `output`, and `--field NAME`, which the printing functions obey."""
    field = click.option(
        "--field",
        expose_value=False,
        callback=lambda ctx, _, value: ctx.meta.__setitem__(_FIELD, value),
        help="Print only this value, bare: id, key, ...",
    )
    choice = click.option(
        "-o",
        "--output",
        type=click.Choice(["text", "json"]),
        default="text",
        help="For people, or for programs.",
    )
    return choice(field(command))


def yes_option(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--yes`."""
    return click.option("--yes", is_flag=True, help="Do not ask.")(command)


def confirm(question: str, *, yes: bool) -> None:
    """Ask on a terminal, unless `yes`; programs are taken to mean what they say."""
    if not yes and sys.stdin.isatty() and sys.stdout.isatty():
        click.confirm(question, abort=True, err=True)


def say(message: str) -> None:
    """Tell people something that is not a result."""
    click.echo(message, err=True)


def print_row(row: Row, output: str) -> None:
    """Print one thing, or one value of it."""
    if _print_field([row]):
        return
    if output == "json":
        click.echo(json.dumps(row, default=_plain))
        return
    width = max(len(name) for name in row)
    for name, value in row.items():
        click.echo(f"{name.replace('_', ' '):<{width}}  {_text(value)}")


def print_rows(rows: Sequence[Row], output: str, *, columns: Sequence[str], empty: str) -> None:
    """Print many things: a JSON array, or a table of some columns; or one value of each, a line each."""
    if _print_field(rows):
        return
    if output == "json":
        click.echo(json.dumps(list(rows), default=_plain))
        return
    if not rows:
        say(empty)
        return
    from rich import box  # noqa: PLC0415 - costs a tenth of a second
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(
        *(name.replace("_", " ") for name in columns), box=box.SIMPLE_HEAD, pad_edge=False
    )
    for row in rows:
        table.add_row(*(_text(row[name]) for name in columns))
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 250
    console.print(table)


def seconds(life: timedelta | None) -> int | None:
    """Return a duration as whole seconds."""
    return None if life is None else int(life.total_seconds())


def _print_field(rows: Sequence[Row]) -> bool:
    field = click.get_current_context().meta.get(_FIELD)
    for row in rows if field is not None else ():
        if field not in row:
            raise click.UsageError(f"there is no field {field!r}; there are {', '.join(row)}")
        click.echo(_text(row[field]))
    return field is not None


def _text(value: object) -> str:
    match value:
        case None:
            return "-"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}"
        case list() | tuple():
            return " ".join(str(item) for item in value)
        case dict():
            return json.dumps(value, default=_plain)
        case _:
            return str(value)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    raise TypeError(f"cannot print {type(value).__name__}")
