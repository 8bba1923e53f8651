"""`tokensvc denylist`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tokensvc.cli.output import Row, output_option, print_rows
from tokensvc.cli.session import operate
from tokensvc.cli.waiting import follower_row
from tokensvc.issuer.receipts import list_followers
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


@command.command("followers")
@output_option
def followers(output: str) -> None:
    """List who follows the feed and what each has applied, by its own word: it asks for what comes after that."""
    rows = [follower_row(follower) for follower in operate(lambda database, _: list_followers(database))]
    columns = ["name", "state", "applied", "head", "lag_seconds", "seen_at", "authenticated"]
    print_rows(rows, output, columns=columns, empty="no follower was heard of in the last hour")


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
