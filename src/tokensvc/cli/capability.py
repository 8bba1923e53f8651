"""`tokensvc capability`."""

from __future__ import annotations

import dataclasses

import click

from tokensvc.cli.database import actor, run_use_case
from tokensvc.cli.output import output_option, print_row, print_rows
from tokensvc.issuer.admin import capabilities


@click.group("capability")
def command() -> None:
    """Names that a token's scope may contain."""


@command.command("add")
@click.argument("name")
@click.option("--description", default="", help="What it allows.")
@output_option
def add(name: str, description: str, output: str) -> None:
    """Add a capability, for example orders:read."""
    added = run_use_case(
        lambda database, _: capabilities.add_capability(database, name, description, actor=actor())
    )
    print_row(dataclasses.asdict(added), output)


@command.command("list")
@output_option
def list_(output: str) -> None:
    """List all capabilities."""
    found = run_use_case(
        lambda database, _: capabilities.list_capabilities(database), changes=False
    )
    print_rows(
        [dataclasses.asdict(capability) for capability in found],
        output,
        columns=["name", "description", "created_at"],
        empty="no capabilities yet",
    )


@command.command("remove")
@click.argument("name")
@output_option
def remove(name: str, output: str) -> None:
    """Remove a capability that no usable key holds."""
    run_use_case(lambda database, _: capabilities.remove_capability(database, name, actor=actor()))
    print_row({"name": name, "state": "removed"}, output)
