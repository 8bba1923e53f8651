"""`tokensvc init`."""

from __future__ import annotations

import click

from tokensvc.cli.output import output_option, print_row
from tokensvc.cli.session import operate
from tokensvc.issuer.start import initialise


@click.command("init")
@output_option
def command(output: str) -> None:
    """Prepare database, master key, signing keys and a first admin key (shown once). Doing it again changes nothing."""
    started = operate(lambda database, settings: initialise(database, settings), check=False)
    if started.admin is None:
        print_row({"status": "ready"}, output)
        return
    row = {"status": "ready", "id": started.admin.listed.record.id, "key": started.admin.key.text}
    print_row(row, output)
