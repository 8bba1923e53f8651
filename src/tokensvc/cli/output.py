"""Printing: results to stdout, messages to stderr; JSON for programs, text for people."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Row = dict[str, Any]

_FIELD: Final = "tokensvc.field"
_MOMENT_NAME: Final = re.compile(r"(^|_)at$|^since$|^until$|^fresh_until$")
_MOMENT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z")


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
        click.echo(json.dumps(row))
        return
    width = max(len(name) for name in row)
    for name, value in row.items():
        click.echo(f"{name.replace('_', ' '):<{width}}  {_to_text(name, value)}")


def print_pages(
    pages: Iterable[Sequence[Row]], output: str, *, columns: Sequence[str], empty: str
) -> None:
    """Print a list as its pages come, so that a long one is never in memory as a whole.

    It is a JSON array, or a table of `columns`, or with `--field` a value a line. `empty` is the
    message if there is nothing to print.
    """
    if _find_field() is not None:
        for page in pages:
            _print_field(page)
    elif output == "json":
        _print_array(pages)
    else:
        draw = _draw_on_terminal if sys.stdout.isatty() else _draw
        widths: list[int] = []
        for page in filter(None, pages):
            draw(page, columns, widths)
        if not widths:
            print_message(empty)


def print_lines(
    rows: Iterable[Row], output: str, *, build: Callable[[Row], str], empty: str
) -> None:
    """As `print_pages`, but text is the line that `build` makes of each row."""
    if output == "json" or _find_field() is not None:
        print_pages(([row] for row in rows), output, columns=[], empty=empty)
        return
    has_any = False
    for row in rows:
        click.echo(build(row))
        has_any = True
    if not has_any:
        print_message(empty)


def _print_array(pages: Iterable[Sequence[Row]]) -> None:
    before = "["
    for page in pages:
        for row in page:
            click.echo(before + json.dumps(row), nl=False)
            before = ", "
    click.echo("[]" if before == "[" else "]")


def _draw(page: Sequence[Row], columns: Sequence[str], widths: list[int]) -> None:
    """Print a part of a table. Columns become wider where a later part needs it."""
    lines = [[_to_text(name, row[name]) for name in columns] for row in page]
    if not widths:
        lines.insert(0, [name.replace("_", " ") for name in columns])
        widths[:] = [0] * len(columns)
    for column, width in enumerate(widths):
        widths[column] = max(width, *(len(line[column]) for line in lines))
    for line in lines:
        texts = (f"{text:<{width}}" for text, width in zip(line, widths, strict=True))
        click.echo("  ".join(texts).rstrip())


def _draw_on_terminal(page: Sequence[Row], columns: Sequence[str], widths: list[int]) -> None:
    """Print a part of a table, folded so that it fits the terminal."""
    from rich import box  # noqa: PLC0415 - rich takes a tenth of a second to import
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    titles = (name.replace("_", " ") for name in columns)
    table = Table(*titles, box=box.SIMPLE_HEAD, pad_edge=False, show_header=not widths)
    for row in page:
        table.add_row(*(_to_text(name, row[name]) for name in columns))
    Console(highlight=False, markup=False).print(table)
    widths[:] = [1]


def _find_field() -> str | None:
    """Return the field that `--field` names."""
    field: str | None = click.get_current_context().meta.get(_FIELD)
    return field


def _print_field(rows: Sequence[Row]) -> bool:
    """Print the field that `--field` names of each row; return whether it names one."""
    field = _find_field()
    for row in rows if field is not None else ():
        if field not in row:
            raise click.UsageError(f"there is no field {field!r}; the fields are {', '.join(row)}")
        click.echo(_to_text(field, row[field]))
    return field is not None


def _to_text(name: str, value: object) -> str:
    match value:
        case None:
            return "-"
        case str() if _MOMENT_NAME.search(name) and _MOMENT.fullmatch(value):
            return value[:19].replace("T", " ")
        case list():
            return " ".join(_to_text("", item) for item in value)
        case dict():
            return json.dumps(value)
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)
