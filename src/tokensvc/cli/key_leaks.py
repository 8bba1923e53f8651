"""`tokensvc key leaks`."""

from __future__ import annotations

import click

from tokensvc.cli.naming import KEY, reference
from tokensvc.cli.output import output_option, print_row
from tokensvc.cli.run import call


@click.command("leaks")
@reference(KEY, "key_id")
@output_option
def leaks(key_id: str, output: str) -> None:
    """Show where a key was found, and how it was used since.

    Whoever finds a key reports it to POST /v1/leaks, or with `tokensvc key scan --report`.
    """
    shown = call("leaks.list", {"key": key_id})
    if output == "text":
        shown["places"] = [
            " ".join(filter(None, [place["reported_at"], place["source"], place["url"]]))
            for place in shown["places"]
        ]
    print_row(shown, output)
