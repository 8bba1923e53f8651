"""Printing: results to stdout, messages to stderr; JSON for programs, text for people."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from tokensvc.cli.cell import build_cell, build_text
from tokensvc.cli.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Row = dict[str, Any]

_FIELD: Final = "tokensvc.field"
_WIDE: Final = "tokensvc.wide"


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
    return plain_output_option(field(no_color_option(command)))


def plain_output_option(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `-o text|json` alone."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["text", "json"]),
        default="text",
        help="Text for people (the default), or JSON for programs.",
    )(command)


def report_output_option(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that draws a report `-o text|json`; the default depends on who reads."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["text", "json"]),
        callback=lambda _, __, value: value or ("text" if is_terminal() else "json"),
        help="By default text on a terminal and JSON elsewhere.",
    )(command)


def list_output_option(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that prints a list `--wide` and the options of `output_option`."""
    wide = click.option(
        "--wide",
        is_flag=True,
        expose_value=False,
        callback=lambda ctx, _, value: ctx.meta.__setitem__(_WIDE, value),
        help="Show all columns, and moments instead of how long ago they are.",
    )
    return output_option(wide(command))


def no_color_option(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--no-color`."""
    return click.option(
        "--no-color",
        is_flag=True,
        expose_value=False,
        callback=lambda ctx, _, value: _end_colors(ctx) if value else None,
        help="Print without colours and bold letters, as with NO_COLOR.",
    )(command)


def yes_option(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--yes`; see `confirm`."""
    return click.option("--yes", is_flag=True, help="Do not ask for confirmation.")(command)


def confirm(question: str, *, yes: bool) -> None:
    """Ask on a terminal, unless `yes`. A program is not asked."""
    if not yes and sys.stdin.isatty() and sys.stdout.isatty():
        click.confirm(question, abort=True, err=True)


def is_terminal() -> bool:
    """Tell whether people read what is printed."""
    return sys.stdout.isatty()


def find_room() -> int | None:
    """Return how many columns the terminal has, None if programs read what is printed."""
    return shutil.get_terminal_size().columns if is_terminal() else None


def wrap(line: str, room: int, *, indent: int) -> str:
    """Return a line that goes on in further ones, `indent` to the right; no word is broken."""
    if len(line) <= room:
        return line
    return textwrap.fill(
        line,
        room,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


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
    width, room = max(len(name) for name in row), find_room()
    for name, value in row.items():
        line = f"{name.replace('_', ' '):<{width}}  {build_cell(name, value)}"
        # JSON stays as it is, so that it can be copied.
        if room is not None and not isinstance(value, dict):
            line = wrap(line, room, indent=width + 2)
        click.echo(line)


def print_pages(
    pages: Iterable[Sequence[Row]],
    output: str,
    *,
    columns: Sequence[str],
    empty: str,
    sentences: str | None = None,
) -> None:
    """Print a list as its pages come, so that a long one is never in memory as a whole.

    It is a JSON array, or with `--field` a value a line. Text is a table on a terminal, and lines
    of `columns` with tabs elsewhere. `columns`: the most important first. `empty` is the message if
    there is nothing to print. `sentences`: the last column, if its texts may go on in further lines
    of a table.
    """
    if _find_field() is not None:
        for page in pages:
            _print_field(page)
    elif output == "json":
        _print_array(pages)
    else:
        has_any = (
            _draw_table(pages, columns, sentences) if is_terminal() else _draw_lines(pages, columns)
        )
        if not has_any:
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


def _draw_lines(pages: Iterable[Sequence[Row]], columns: Sequence[str]) -> bool:
    """Print rows for programs: the columns, with a tab between them. Return whether any came."""
    has_any = False
    for page in pages:
        for row in page:
            has_any = True
            click.echo("\t".join(build_cell(name, row[name]) for name in columns))
    return has_any


def _draw_table(
    pages: Iterable[Sequence[Row]], columns: Sequence[str], sentences: str | None
) -> bool:
    """Print a table that fits the terminal. Return whether any row came."""
    is_wide = click.get_current_context().meta.get(_WIDE, False)
    now = None if is_wide else datetime.fromtimestamp(time.time(), UTC)
    room = shutil.get_terminal_size().columns
    table = Table(columns, None if is_wide else room, sentences=sentences)
    has_any = False
    for page in filter(None, pages):
        has_any = True
        cells = [{name: build_cell(name, row[name], now) for name in columns} for row in page]
        for line, is_heading in table.draw(cells):
            click.echo(click.style(line, bold=True) if is_heading else line)
    notes = {"not shown": table.left_out, "shortened": table.shortened}
    said = "; ".join(f"{what}: {', '.join(names)}" for what, names in notes.items() if names)
    if has_any and said:
        print_message(textwrap.fill(f"{said} (--wide, or -o json)", room))
    return has_any


def _end_colors(context: click.Context) -> None:
    context.color = False


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
        click.echo(build_text(field, row[field]))
    return field is not None
