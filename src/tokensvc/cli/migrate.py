"""`tokensvc migrate`."""

from __future__ import annotations

import click

from tokensvc.cli.database import run_use_case
from tokensvc.cli.output import output_option, print_row
from tokensvc.issuer.start import apply_migrations


@click.command("migrate")
@output_option
def command(output: str) -> None:
    """Apply the migrations that the database lacks.

    Several processes may do this at once. A migration that was edited after its release is refused.
    """
    applied = run_use_case(
        lambda database, settings: apply_migrations(database, settings), needs_schema=False
    )
    print_row({"applied": applied}, output)
