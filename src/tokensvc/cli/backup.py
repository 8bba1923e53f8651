"""`tokensvc backup`."""

from __future__ import annotations

from pathlib import Path

import click

from tokensvc.cli.database import run_use_case
from tokensvc.cli.output import output_option, print_message, print_row
from tokensvc.issuer.backup import make_backup


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@output_option
def command(file: Path, output: str) -> None:
    """Write everything in the database to a new FILE, as it is at one moment.

    Services go on meanwhile. The master key is not in it: keep that in another place.

    \b
    tokensvc backup tokens-monday.backup
    tokensvc restore tokens-monday.backup --check
    """
    facts = run_use_case(
        lambda database, settings: make_backup(database, settings, file), changes=False
    )
    row = {
        "file": str(file),
        "bytes": file.stat().st_size,
        "made_at": facts.made_at.isoformat(),
        "version": facts.version,
        "audit_number": facts.audit_number,
        "audit_hash": facts.audit_hash,
    }
    print_row(row, output)
    print_message(
        "the master key is not in it, and without the master key it is worth nothing: keep that "
        "too, in another place"
    )
