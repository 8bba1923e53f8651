"""`tokensvc capability`."""

from __future__ import annotations

import click

from tokensvc.cli.options import add_alias, build_list_request, list_options
from tokensvc.cli.output import (
    confirm,
    list_output_option,
    output_option,
    print_pages,
    print_row,
    yes_option,
)
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
@list_output_option
def list_(output: str, name: str | None, *, with_use: bool) -> None:
    """List all capabilities."""
    pages = call_pages("capabilities.list", build_list_request(name, with_use=with_use))
    columns = ["name", *(["keys"] if with_use else []), "created_at", "description"]
    print_pages(
        pages, output, columns=columns, sentences="description", empty="no such capabilities"
    )


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
@yes_option
@output_option
def delete(name: str, output: str, *, yes: bool) -> None:
    """Delete a capability that no usable key holds."""
    confirm(f"Delete {name}?", yes=yes)
    print_row(call("capabilities.delete", {"name": name}), output)


add_alias(command, create, "add")
add_alias(command, delete, "remove")
