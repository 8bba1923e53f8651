"""`tokensvc whoami`."""

from __future__ import annotations

import click

from tokensvc.cli.output import output_option, print_row
from tokensvc.cli.run import call


@click.command("whoami")
@output_option
def command(output: str) -> None:
    """Say who you are, what you may do, and what is left of your limits."""
    row = call("whoami.show")
    if output == "text":
        limits = [f"{limit['name']} {limit['left']} of {limit['limit']}" for limit in row["limits"]]
        row = row | {"limits": ", ".join(limits)}
    print_row(row, output)
