"""`tokensvc master-key`."""

from __future__ import annotations

from pathlib import Path

import click

from tokensvc.cli.output import output_option, print_row, say
from tokensvc.cli.session import actor, operate
from tokensvc.issuer.signing.master_key import rotate_master_key


@click.group("master-key")
def command() -> None:
    """The key that seals the signing keys in the database. It never leaves its file."""


@command.command("rotate")
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    help="Write the new key to this new file, instead of in the old one's place.",
)
@output_option
def rotate(to: Path | None, output: str) -> None:
    """Replace the master key and re-seal every signing key under the new one, all or none. Services that run go on.

    \b
    tokensvc master-key rotate
    tokensvc master-key rotate --to /run/secrets/new-master.key      if it comes from the environment or a credential
    """
    path = operate(
        lambda database, settings: rotate_master_key(database, settings, to=to, actor=actor())
    )
    print_row({"path": str(path), "state": "in force"}, output)
    if to is None:
        say(
            f"back it up now. The old one is in {path}.old: old backups of the database need it; store it apart, or destroy it"
        )
    else:
        say(
            "hand it to the service in place of the old one, and restart: the old one opens nothing any more"
        )
