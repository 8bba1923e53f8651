"""`tokensvc key scan`: API keys in files and histories, found by their form and checksum."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from tokensvc.cli.exit_codes import ExitCode
from tokensvc.cli.output import output_option, print_lines, print_message
from tokensvc.cli.run import call
from tokensvc.cli.scan_files import STDIN, find_in_paths
from tokensvc.core.api_key import DEFAULT_PREFIX, check_prefix
from tokensvc.core.errors import InvalidInputError
from tokensvc.core.leak import MOST_REPORTED, KeyFinder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tokensvc.cli.output import Row
    from tokensvc.cli.scan_files import Find

_SHORT: Final = 12


def _check_prefix(context: click.Context, parameter: click.Parameter, text: str) -> str:
    try:
        return check_prefix(text)
    except InvalidInputError as error:  # its exit code would say that a key was found
        raise click.BadParameter(error.message, context, parameter) from error


@click.command("scan")
@click.argument("paths", nargs=-1, required=True)
@click.option("--git", is_flag=True, help="Also read the whole history of these repositories.")
@click.option(
    "--prefix",
    default=DEFAULT_PREFIX,
    show_default=True,
    envvar="TOKENSVC_KEY_PREFIX",
    callback=_check_prefix,
    help="What keys begin with.",
)
@click.option("--report", is_flag=True, help="Report what is found, so that it is disabled.")
@output_option
@click.pass_context
def scan(
    context: click.Context,
    paths: tuple[str, ...],
    prefix: str,
    output: str,
    *,
    git: bool,
    report: bool,
) -> None:
    """Look for API keys in files and folders; - is stdin.

    A key is found by its form and checksum, in every kind of file. No whole key is printed. With
    --report the service disables or revokes what is found; no credential is needed for that.

    The exit code is 5 if a key was found, and 1 if none was found but something could not be read.

    \b
    tokensvc key scan --git .
    tokensvc --url https://tokens.example key scan --report logs/
    """
    found: list[Find] = []
    unread: list[str] = []
    finder = KeyFinder(prefix)

    def complain(path: str, reason: str) -> None:
        unread.append(path)
        print_message(f"{_show(path)} cannot be read: {reason}")

    def note(finds: Iterator[Find]) -> Iterator[Row]:
        for find in finds:
            found.append(find)
            yield _build_row(find)

    finds = find_in_paths(paths, finder, complain)
    if git:
        finds = chain(finds, _find_in_histories(paths, finder, complain))
    print_lines(note(finds), output, build=_build_line, empty="no keys were found")
    if report and found:
        _report(found)
    context.exit(ExitCode.REFUSED if found else ExitCode.FAILED if unread else 0)


def _find_in_histories(
    paths: Sequence[str], finder: KeyFinder, complain: Callable[[str, str], None]
) -> Iterator[Find]:
    # Imported here because the other commands for keys start quicker without it.
    from tokensvc.cli.scan_git import find_in_history, is_shallow  # noqa: PLC0415

    folders = [Path(path) for path in paths if path != STDIN]
    for folder in dict.fromkeys(path if path.is_dir() else path.parent for path in folders):
        try:
            if is_shallow(str(folder)):
                complain(str(folder), "it was cloned without its whole history")
            yield from find_in_history(str(folder), finder)
        except InvalidInputError as error:
            complain(str(folder), error.message)


def _build_row(find: Find) -> Row:
    return {
        "path": _show(find.path),
        "line": find.line,
        "hint": find.key.hint,
        "commit": find.commit,
    }


def _build_line(row: Row) -> str:
    place = f"{row['path']}:{row['line']}: {row['hint']}"
    return place if row["commit"] is None else f"{row['commit'][:_SHORT]}:{place}"


def _show(path: str) -> str:
    """Return a path as it may be printed: no character of it controls the terminal."""
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in path
    )


def _report(found: Sequence[Find]) -> None:
    """Report each key at each place once. Raises TokensvcError."""
    leaks = list(
        {
            (find.key.text, url): {
                "key": find.key.text,
                "url": url,
                "source": "file" if find.commit is None else "commit",
            }
            for find in found
            # This is the place as it is printed, without the hint of the key behind it.
            for url in [_build_line(_build_row(find)).rpartition(": ")[0]]
        }.values()
    )
    for at in range(0, len(leaks), MOST_REPORTED):
        call("leaks.report", {"leaks": leaks[at : at + MOST_REPORTED]})
    print_message(f"{len({find.key.text for find in found})} key(s) reported")
