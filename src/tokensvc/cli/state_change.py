"""Acts that change the state of a thing, and that somebody may repeat: the command says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.cli.cell import build_cell
from tokensvc.cli.output import print_message, print_row
from tokensvc.cli.run import call

if TYPE_CHECKING:
    from tokensvc.cli.output import Row


def change_state(name: str, request: Row, output: str, moment: str) -> None:
    """Carry out an operation like `keys.disable`, and print the thing as it is then.

    `moment`: the field that tells since when the thing is in the state that the operation changes.
    """
    things, _, _ = name.partition(".")
    before = call(f"{things}.show", {"id": request["id"]})
    after = call(name, request)
    print_row(after, output)
    if before[moment] == after[moment]:
        since = "" if after[moment] is None else f", since {build_cell(moment, after[moment])}"
        print_message(f"it was {after['state']} already{since}: nothing has changed")
