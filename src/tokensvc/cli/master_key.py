"""`tokensvc master-key`."""

from __future__ import annotations

from pathlib import Path

import click

from tokensvc.cli.database import actor, run_use_case
from tokensvc.cli.output import output_option, print_message, print_row
from tokensvc.issuer.signing.master_key import rotate_master_key


@click.group("master-key")
def command() -> None:
    """The key that seals the signing keys in the database. It never leaves its file."""


@command.command("rotate")
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    help="Write the new key to this new file, and leave the old file as it is.",
)
@output_option
def rotate(to: Path | None, output: str) -> None:
    """Replace the master key.

    Every signing key is sealed again under the new one, in one transaction. Running services go on.
    Use --to if the key comes from the environment or from a credential.

    \b
    tokensvc master-key rotate
    tokensvc master-key rotate --to /run/secrets/new-master.key
    """
    path = run_use_case(
        lambda database, settings: rotate_master_key(database, settings, to=to, actor=actor())
    )
    print_row({"path": str(path), "state": "in force"}, output)
    if to is None:
        print_message(
            f"back it up now. The old one is in {path}.old: older backups of the database need it, "
            "so store it in another place, or destroy it"
        )
    else:
        print_message(
            "hand it to the service in place of the old one, and restart the service: "
            "the old one does not open anything any more"
        )
