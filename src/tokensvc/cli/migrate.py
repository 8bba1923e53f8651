"""`tokensvc migrate`."""

from __future__ import annotations

import click

from tokensvc.cli.output import output_option, print_row
from tokensvc.cli.session import operate
from tokensvc.issuer.start import apply_migrations


@click.command("migrate")
@output_option
def command(output: str) -> None:
    """Apply the migrations that this database lacks. Several at once are safe; one that was edited after its release is refused."""
    print_row(
        {"applied": operate(lambda database, _: apply_migrations(database), check=False)}, output
    )
