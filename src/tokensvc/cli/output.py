"""Printing: results to stdout, messages to stderr; JSON for programs, text for people."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Row = dict[str, Any]

_FIELD: Final = "tokensvc.field"
_WIDTH_OF_FILES: Final = 250


def output_option(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `-o text|json` and `--field NAME`.

    The first arrives as `output`. The printing functions find the second one by themselves.
    """
    field = click.option(
        "--field",
        expose_value=False,
        callback=lambda ctx, _, value: ctx.meta.__setitem__(_FIELD, value),
        help="Print only the bare value of this field: id, key, ...",
    )
    choice = click.option(
        "-o",
        "--output",
        type=click.Choice(["text", "json"]),
        default="text",
        help="Text for people (the default), or JSON for programs.",
    )
    return choice(field(command))


def yes_option(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--yes`; see `confirm`."""
    return click.option("--yes", is_flag=True, help="Do not ask for confirmation.")(command)


def confirm(question: str, *, yes: bool) -> None:
    """Ask on a terminal, unless `yes`. A program is not asked."""
    if not yes and sys.stdin.isatty() and sys.stdout.isatty():
        click.confirm(question, abort=True, err=True)


def print_message(message: str) -> None:
    """Tell people something that is not the result."""
    click.echo(message, err=True)


def print_row(row: Row, output: str) -> None:
    """Print one thing; or only one field of it, if `--field` names one."""
    if _print_field([row]):
        return
    if output == "json":
        click.echo(json.dumps(row, default=_to_json))
        return
    width = max(len(name) for name in row)
    for name, value in row.items():
        click.echo(f"{name.replace('_', ' '):<{width}}  {_to_text(value)}")


def print_rows(rows: Sequence[Row], output: str, *, columns: Sequence[str], empty: str) -> None:
    """Print many things: a JSON array, or a table of `columns`, or with `--field` a value a line.

    `empty` is the message if there is nothing to print.
    """
    if _print_field(rows):
        return
    if output == "json":
        click.echo(json.dumps(list(rows), default=_to_json))
        return
    if not rows:
        print_message(empty)
        return
    from rich import box  # noqa: PLC0415 - rich takes a tenth of a second to import
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    titles = (name.replace("_", " ") for name in columns)
    table = Table(*titles, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*(_to_text(row[name]) for name in columns))
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = _WIDTH_OF_FILES
    console.print(table)


def _print_field(rows: Sequence[Row]) -> bool:
    """Print the field that `--field` names of each row; return whether it names one."""
    field = click.get_current_context().meta.get(_FIELD)
    for row in rows if field is not None else ():
        if field not in row:
            raise click.UsageError(f"there is no field {field!r}; the fields are {', '.join(row)}")
        click.echo(_to_text(row[field]))
    return field is not None


def _to_text(value: object) -> str:
    match value:
        case None:
            return "-"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}"
        case list() | tuple():
            return " ".join(str(item) for item in value)
        case dict():
            return json.dumps(value, default=_to_json)
        case _:
            return str(value)


def _to_json(value: object) -> str:
    """Return the JSON form of what JSON does not know: a moment, as RFC 3339 writes it."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    raise TypeError(f"cannot print {type(value).__name__}")
