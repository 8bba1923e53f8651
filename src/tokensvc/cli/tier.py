"""`tokensvc tier`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

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

if TYPE_CHECKING:
    from collections.abc import Callable

_COLUMNS: Final = [
    "name",
    "key_per_minute",
    "key_per_day",
    "account_per_minute",
    "account_per_day",
]
_number = click.IntRange(min=1)


@click.group("tier")
def command() -> None:
    """Named sets of limits.

    An account has one, `default` at first. Its keys have the same one, unless they name another.
    """


def _limits(*, required: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    options = [
        click.option(
            "--per-minute",
            "key_per_minute",
            type=_number,
            required=required,
            help="Tokens a minute for each key.",
        ),
        click.option(
            "--per-day",
            "key_per_day",
            type=_number,
            required=required,
            help="Tokens a day (UTC) for each key.",
        ),
        click.option(
            "--account-per-minute",
            type=_number,
            help="Tokens a minute for all keys of an account; 10 times a key's for a new tier.",
        ),
        click.option("--account-per-day", type=_number, help="The same per day (UTC)."),
        click.option("--description", help="What the tier is for."),
    ]

    def add(function: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            function = option(function)
        return function

    return add


@command.command("create")
@click.argument("name")
@_limits(required=True)
@output_option
def create(name: str, output: str, **fields: Any) -> None:
    """Create a tier.

    \b
    tokensvc tier create pro --per-minute 600 --per-day 100000
    tokensvc account update acct_... --tier pro
    """
    print_row(call("tiers.create", {"name": name, **given(**fields)}), output)


@command.command("list")
@list_options
@list_output_option
def list_(output: str, name: str | None, *, with_use: bool) -> None:
    """List all tiers."""
    pages = call_pages("tiers.list", build_list_request(name, with_use=with_use))
    more = ["accounts", "keys"] if with_use else []
    print_pages(
        pages,
        output,
        columns=[*_COLUMNS, *more, "description"],
        sentences="description",
        empty="no tiers",
    )


@command.command("show")
@click.argument("name")
@output_option
def show(name: str, output: str) -> None:
    """Show one tier."""
    print_row(call("tiers.show", {"name": name}), output)


@command.command("update")
@click.argument("name")
@_limits(required=False)
@output_option
def update(name: str, output: str, **fields: Any) -> None:
    """Change a tier.

    What is not given stays as it is. The change holds from the next exchange on.
    """
    print_row(call("tiers.update", {"name": name, **given(**fields)}), output)


@command.command("delete")
@click.argument("name")
@yes_option
@output_option
def delete(name: str, output: str, *, yes: bool) -> None:
    """Delete a tier that no account and no key has."""
    confirm(f"Delete {name}?", yes=yes)
    print_row(call("tiers.delete", {"name": name}), output)


add_alias(command, create, "add")
add_alias(command, delete, "remove")
