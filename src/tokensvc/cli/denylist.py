"""`tokensvc denylist`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tokensvc.cli.output import Row, output_option, print_rows
from tokensvc.cli.session import operate
from tokensvc.issuer.revocation import list_denylist

if TYPE_CHECKING:
    from tokensvc.core.denylist import DenylistRow


@click.group("denylist")
def command() -> None:
    """What has been revoked."""


@command.command("list")
@output_option
def list_(output: str) -> None:
    """List the entries in force, oldest first."""
    rows = [_row(entry) for entry in operate(lambda database, _: list_denylist(database))]
    columns = ["seq", "kind", "value", "upto", "expires", "reason", "created_at"]
    print_rows(rows, output, columns=columns, empty="nothing is revoked")


def _row(entry: DenylistRow) -> Row:
    revocation = entry.revocation
    return {
        "seq": entry.position.seq,
        "kind": revocation.kind,
        "value": revocation.value,
        "upto": revocation.upto,
        "expires": revocation.exp,
        "reason": entry.reason,
        "created_at": entry.created_at,
    }
