"""`tokensvc restore`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from tokensvc.cli.database import actor, run_use_case
from tokensvc.cli.folder import load_command_settings
from tokensvc.cli.output import confirm, output_option, print_message, print_row, yes_option
from tokensvc.issuer.restore import check_backup, restore_backup

if TYPE_CHECKING:
    from tokensvc.core.backup import BackupFacts
    from tokensvc.issuer.restore import Ended

_NOUNS: Final = {"key": "key", "account": "account", "kid": "signing-key"}


@click.command("restore")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--check", is_flag=True, help="Only prove that it can be restored.")
@yes_option
@output_option
def command(file: Path, output: str, *, check: bool, yes: bool) -> None:
    """Put the backup in FILE into the place of the database.

    It is restored into a database beside, checked, and then renamed. The database before is kept
    under another name. Let the services run meanwhile: they connect again by themselves, and what
    was revoked since the backup stays revoked as long as its tokens live.

    --check restores it into a Postgres of its own, which is gone afterwards. It touches nothing
    else, and needs neither the database nor the services.
    """
    if check:
        _check(file, output)
    else:
        confirm("Replace the database by this backup?", yes=yes)
        _restore(file, output)


def _check(file: Path, output: str) -> None:
    facts, has_key = asyncio.run(check_backup(load_command_settings(), file))
    print_row(_describe("can be restored", facts), output)
    if not has_key:
        print_message("there is no master key here, so nothing shows which one belongs to it")


def _restore(file: Path, output: str) -> None:
    restored = run_use_case(
        lambda database, settings: restore_backup(database, settings, file, actor=actor()),
        needs_schema=False,
    )
    commands = [_build_command(ended) for ended in restored.by_hand or []]
    row = {**_describe("restored", restored.facts), "former_database": restored.former}
    # For people each command is a line of its own, which can be copied.
    print_row({**row, "by_hand": commands} if output == "json" else row, output)
    print_message(f"the database before is kept as {restored.former}: drop it when all is well")
    if commands:
        what = "these were ended since the backup, and nobody remembers them. End them again:"
        print_message("\n  ".join([what, *commands]))
    if restored.by_hand is None:
        print_message(
            "the database before could not be read. What was revoked since the backup, and is "
            "remembered by no running service, has to be revoked by hand: see docs/operations.md"
        )
    if restored.left:
        what = "settings of the database that only an administrator may make again:"
        print_message("\n  ".join([what, *(f"{statement};" for statement in restored.left)]))


def _describe(status: str, facts: BackupFacts) -> dict[str, object]:
    return {
        "status": status,
        "made_at": facts.made_at.isoformat(),
        "version": facts.version,
        "audit_number": facts.audit_number,
        "audit_hash": facts.audit_hash,
    }


def _build_command(ended: Ended) -> str:
    return f"tokensvc {_NOUNS[ended.kind]} {ended.act} {ended.id}"
