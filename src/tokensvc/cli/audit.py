"""`tokensvc audit`."""

from __future__ import annotations

import dataclasses

import click

from tokensvc.cli.output import output_option, print_rows
from tokensvc.cli.session import operate
from tokensvc.issuer.audit import list_events


@click.group("audit")
def command() -> None:
    """Who did what, when."""


@command.command("list")
@click.option("--subject", help="Only what happened to this key, account, ...")
@click.option(
    "--most",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="How many, newest first.",
)
@output_option
def list_(subject: str | None, most: int, output: str) -> None:
    """List events, newest first."""
    found = operate(lambda database, _: list_events(database, subject=subject, most=most))
    rows = [dataclasses.asdict(event) for event in found]
    print_rows(
        rows,
        output,
        columns=["at", "actor", "action", "subject", "detail"],
        empty="nothing has happened",
    )
