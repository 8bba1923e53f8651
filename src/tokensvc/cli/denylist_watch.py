"""`tokensvc denylist watch`: revocations, printed as they come."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final

import click

from tokensvc.cli.output import print_message, print_row
from tokensvc.cli.run import call, given
from tokensvc.core.errors import UnavailableError

if TYPE_CHECKING:
    from tokensvc.cli.output import Row

# The operation allows no longer wait.
_WAIT_SECONDS: Final = 25
_RETRY_SECONDS: Final = 1.0


def watch_denylist(after: str | None, output: str) -> None:
    """Print revocations until Ctrl-C; say once when the service or the database goes away."""
    with contextlib.suppress(KeyboardInterrupt):
        changes = call("revocations.watch", given(after=after))
        _print_changes(changes, output)
        print_message(f"watching, from {changes['cursor']} on; Ctrl-C ends it")
        is_away = False
        while True:
            request = {"after": changes["cursor"], "wait": _WAIT_SECONDS}
            try:
                changes = call("revocations.watch", request)
            except UnavailableError as error:
                if not is_away:
                    print_message(error.message)
                is_away = True
                time.sleep(_RETRY_SECONDS)
            else:
                _print_changes(changes, output)
                is_away = False


def describe_ending(revocation: Row) -> str:
    """Return in words what came to its end."""
    words = str(revocation["ending"]).replace("_", " ")
    return f"{words}; written again after a loss" if revocation["healed"] else words


def _print_changes(changes: Row, output: str) -> None:
    if changes["reset"]:
        print_message(
            "THE HISTORY WENT BACK: a failover, a restored backup, or a position from elsewhere. "
            "Revocations may be lost. These are in force now:"
        )
        if output == "json":
            print_row({"reset": True, "cursor": changes["cursor"]}, output)
    for revocation in changes["items"]:
        if output == "json":
            print_row(revocation, output)
        else:
            click.echo(_describe(revocation))


def _describe(revocation: Row) -> str:
    upto = "" if revocation["upto"] is None else f" up to {revocation['upto']}"
    named = f"{revocation['kind']} {revocation['value']}{upto}"
    return f"{revocation['cursor']}  {named}  ({describe_ending(revocation)})"
