"""`tokensvc whoami`."""

from __future__ import annotations

import click

from tokensvc.cli.output import output_option, print_row
from tokensvc.cli.run import call


@click.command("whoami")
@output_option
def command(output: str) -> None:
    """Say who you are, what you may do, and what is left of your limits."""
    print_row(call("whoami.show"), output)
