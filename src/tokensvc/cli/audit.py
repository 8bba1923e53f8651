"""`tokensvc audit`."""

from __future__ import annotations

import click

from tokensvc.cli.database import run_use_case
from tokensvc.cli.output import output_option, print_rows
from tokensvc.core.audit_chain import build_line
from tokensvc.issuer.audit import list_events


@click.group("audit")
def command() -> None:
    """The audit trail: who changed what, and when."""


@command.command("list")
@click.option("--subject", help="Only events of the key, account or other thing with this id.")
@click.option(
    "--most",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="How many events to list.",
)
@output_option
def list_(subject: str | None, most: int, output: str) -> None:
    """List events, newest first."""
    found = run_use_case(
        lambda database, _: list_events(database, subject=subject, most=most), changes=False
    )
    print_rows(
        [build_line(event) for event in found],
        output,
        columns=["at", "actor", "operation", "subject", "detail"],
        empty="nothing has happened",
    )
