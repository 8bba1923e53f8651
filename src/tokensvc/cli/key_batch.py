"""`tokensvc key batch`: one act on many keys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import click

from tokensvc.cli.exit_codes import ExitCode
from tokensvc.cli.key_fields import build_fields, change_options
from tokensvc.cli.naming import KEY, find_id, reference
from tokensvc.cli.options import reason_option
from tokensvc.cli.output import confirm, list_output_option, print_message, print_pages, yes_option
from tokensvc.cli.run import call, given
from tokensvc.cli.secret_io import read_text
from tokensvc.core.identifier import KEY_ID_PATTERN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tokensvc.cli.output import Row

_MOST_AT_ONCE: Final = 1000
# Behind the id stands a blank or the end of the line, so the output of `key list` can be given.
_ID_AND_MORE: Final = re.compile(rf"{KEY_ID_PATTERN}(?!\S)", re.ASCII)


@click.command("batch")
@click.argument("act", type=click.Choice(["disable", "enable", "revoke", "update"]))
@reference(KEY, "key_ids", click.argument("key_ids", nargs=-1))
@click.option("--from", "source", help="A file with an id or a name a line; - for stdin.")
@change_options
@reason_option
@yes_option
@list_output_option
def batch(
    act: str,
    key_ids: tuple[str, ...],
    source: str | None,
    reason: str | None,
    output: str,
    *,
    yes: bool,
    **options: Any,
) -> None:
    """Disable, enable, revoke or change many keys.

    Each key has an outcome of its own; the exit code is 5 if one of them is refused.

    \b
    tokensvc key batch revoke --from leaked-ids.txt --reason "seen in a log"
    tokensvc key batch update key_... key_... --per-minute 5
    """
    changes = build_fields(options)
    if bool(changes) != (act == "update"):
        raise click.UsageError("name what to change with `update`, and only with it")
    found = [*key_ids, *(find_id(KEY, name) for name in _read_names(source))]
    if not found:
        raise click.UsageError("name keys, or a file of their ids with --from")
    confirm(f"{act} {len(found)} keys?".capitalize(), yes=yes)
    refused: list[str] = []
    request = {"act": act, **given(reason=reason)}
    print_pages(
        _act(request, found, changes, refused),
        output,
        columns=["id", "done", "state", "code", "detail"],
        sentences="detail",
        empty="nothing was done",
    )
    if refused:
        print_message(f"refused: {len(refused)} of {len(found)}")
        click.get_current_context().exit(ExitCode.REFUSED)


def _act(
    request: Row, key_ids: Sequence[str], changes: Row, refused: list[str]
) -> Iterator[list[Row]]:
    """Yield the outcomes of a thousand keys at a time, and note who was refused."""
    more = {"changes": changes} if changes else {}
    for at in range(0, len(key_ids), _MOST_AT_ONCE):
        items = [{"id": key_id, **more} for key_id in key_ids[at : at + _MOST_AT_ONCE]]
        outcomes = call("keys.batch", {**request, "items": items})["items"]
        refused += [outcome["id"] for outcome in outcomes if not outcome["done"]]
        yield outcomes


def _read_names(source: str | None) -> list[str]:
    """Return what each line names: by an id, behind which there may be more, or as a whole.

    Empty lines, and lines that begin with #, are skipped.
    """
    if source is None:
        return []
    lines = (line.strip() for line in read_text(source).splitlines())
    return [
        found[0] if (found := _ID_AND_MORE.match(line)) else line
        for line in lines
        if line and not line.startswith("#")
    ]
