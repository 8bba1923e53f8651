"""`tokensvc init`."""

from __future__ import annotations

import click

from tokensvc.cli.database import run_use_case
from tokensvc.cli.output import output_option, print_row
from tokensvc.issuer.start import initialise


@click.command("init")
@output_option
def command(output: str) -> None:
    """Prepare the database, the keys and a first admin.

    It makes the schema, the master key, the signing keys, two audiences (the default one, and
    tokensvc for calls to the service itself) and an admin API key, which is shown once. Running it
    again changes nothing.
    """
    started = run_use_case(
        lambda database, settings: initialise(database, settings), needs_schema=False, may_make=True
    )
    if started.admin is None:
        print_row({"status": "ready"}, output)
        return
    row = {"status": "ready", "id": started.admin.listed.record.id, "key": started.admin.key.text}
    print_row(row, output)
