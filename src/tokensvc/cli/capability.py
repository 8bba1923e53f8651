"""`tokensvc capability`."""

from __future__ import annotations

import click

from tokensvc.cli.options import add_alias, build_list_request, list_options
from tokensvc.cli.output import output_option, print_pages, print_row
from tokensvc.cli.run import call, call_pages, given


@click.group("capability")
def command() -> None:
    """Names that a token's scope may contain."""


@command.command("create")
@click.argument("name")
@click.option("--description", help="What it allows.")
@output_option
def create(name: str, description: str | None, output: str) -> None:
    """Create a capability, for example orders:read."""
    made = call("capabilities.create", {"name": name, **given(description=description)})
    print_row(made, output)


@command.command("list")
@list_options
@output_option
def list_(output: str, name: str | None, *, with_use: bool) -> None:
    """List all capabilities."""
    columns = ["name", "description", "created_at"]
    pages = call_pages("capabilities.list", build_list_request(name, with_use=with_use))
    more = ["keys"] if with_use else []
    print_pages(pages, output, columns=[*columns, *more], empty="no such capabilities")


@command.command("show")
@click.argument("name")
@output_option
def show(name: str, output: str) -> None:
    """Show one capability."""
    print_row(call("capabilities.show", {"name": name}), output)


@command.command("update")
@click.argument("name")
@click.option("--description", required=True, help="What it allows.")
@output_option
def update(name: str, description: str, output: str) -> None:
    """Change the description of a capability."""
    print_row(call("capabilities.update", {"name": name, "description": description}), output)


@command.command("delete")
@click.argument("name")
@output_option
def delete(name: str, output: str) -> None:
    """Delete a capability that no usable key holds."""
    print_row(call("capabilities.delete", {"name": name}), output)


add_alias(command, create, "add")
add_alias(command, delete, "remove")
