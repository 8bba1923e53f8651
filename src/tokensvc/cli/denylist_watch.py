"""`tokensvc denylist watch`: revocations, printed as they come."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from tokensvc.cli.output import print_message, print_row
from tokensvc.cli.rows import build_revocation_row, describe_ending
from tokensvc.core.errors import UnavailableError
from tokensvc.issuer.mirror.mirror import POLL_SECONDS

if TYPE_CHECKING:
    from tokensvc.core.denylist.record import RevocationRecord
    from tokensvc.issuer.database import Database
    from tokensvc.issuer.revoking.watching import DenylistWatcher, Look


async def watch_denylist(database: Database, watcher: DenylistWatcher, output: str) -> None:
    """Print what `watcher` sees until cancelled; say once when the database goes away."""
    look = await watcher.look_once(database)
    _print_look(look, output)
    print_message(f"watching, from {look.position} on; Ctrl-C ends it")
    is_away = False
    while True:
        await asyncio.sleep(POLL_SECONDS)
        try:
            _print_look(await watcher.look_once(database), output)
        except UnavailableError as error:
            if not is_away:
                print_message(error.message)
            is_away = True
        else:
            is_away = False


def _print_look(look: Look, output: str) -> None:
    if look.went_back:
        print_message(
            "THE HISTORY WENT BACK: a failover, a restored backup, or a position from elsewhere. "
            "Revocations may be lost. These are in force now:"
        )
        if output == "json":
            print_row({"reset": True, "cursor": str(look.position)}, output)
    for record in look.records:
        if output == "json":
            row = {"cursor": str(record.position), **build_revocation_row(record)}
            print_row(row, output)
        else:
            click.echo(_describe(record))


def _describe(record: RevocationRecord) -> str:
    revocation = record.revocation
    upto = "" if revocation.upto is None else f" up to {revocation.upto}"
    ending = describe_ending(record)
    return f"{record.position}  {revocation.kind} {revocation.value}{upto}  ({ending})"
