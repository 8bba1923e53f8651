"""`tokensvc audience`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tokensvc.cli.duration import Duration, whole_seconds
from tokensvc.cli.options import add_alias, build_list_request, list_options
from tokensvc.cli.output import (
    confirm,
    list_output_option,
    output_option,
    print_message,
    print_pages,
    print_row,
    yes_option,
)
from tokensvc.cli.run import call, call_pages, given
from tokensvc.core.algorithm import ALGORITHMS, DEFAULT_ALGORITHM
from tokensvc.core.audience import DEFAULT_TYP, TOKEN_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta


def _fields(function: Callable[..., None]) -> Callable[..., None]:
    description = click.option("--description", help="What the audience is.")
    token_ttl = click.option(
        "--token-ttl",
        type=Duration("default"),
        help="How long its tokens live: 60s, 10m, or default.",
    )
    alg = click.option(
        "--alg",
        type=click.Choice(ALGORITHMS),
        help=f"The algorithm that signs its tokens; {DEFAULT_ALGORITHM} for a new audience.",
    )
    typ = click.option(
        "--typ",
        type=click.Choice(TOKEN_TYPES, case_sensitive=False),
        help="The type in the header of its tokens: JWT is for libraries that refuse "
        f"{DEFAULT_TYP}, which a new audience has.",
    )
    return description(token_ttl(alg(typ(function))))


@click.group("audience")
def command() -> None:
    """The services that tokens are for: a relying party, or a group of them."""


@command.command("create")
@click.argument("name")
@_fields
@output_option
def create(name: str, output: str, **fields: Any) -> None:
    """Create an audience.

    \b
    tokensvc audience create orders-api --token-ttl 5m
    tokensvc audience create legacy-api --alg RS256 --typ JWT
    """
    made = call("audiences.create", {"name": name, **_build_fields(**fields)})
    print_row(made, output)
    _say_when_it_signs(made["alg"])


@command.command("list")
@list_options
@list_output_option
def list_(output: str, name: str | None, *, with_use: bool) -> None:
    """List all audiences."""
    columns = ["name", "alg", "typ", "token_ttl", "created_at"]
    pages = call_pages("audiences.list", build_list_request(name, with_use=with_use))
    columns += ["keys", "last_used_at"] if with_use else []
    print_pages(
        pages,
        output,
        columns=[*columns, "description"],
        sentences="description",
        empty="no audiences",
    )


@command.command("show")
@click.argument("name")
@output_option
def show(name: str, output: str) -> None:
    """Show one audience."""
    print_row(call("audiences.show", {"name": name}), output)


@command.command("update")
@click.argument("name")
@_fields
@output_option
def update(name: str, output: str, **fields: Any) -> None:
    """Change an audience.

    What is not given stays as it is. Tokens that are already issued keep their life.
    """
    changed = call("audiences.update", {"name": name, **_build_fields(**fields)})
    print_row(changed, output)
    if fields["alg"] is not None:
        _say_when_it_signs(changed["alg"])


@command.command("delete")
@click.argument("name")
@yes_option
@output_option
def delete(name: str, output: str, *, yes: bool) -> None:
    """Delete an audience.

    No more tokens are issued for it. Tokens that are already issued stay good until they expire.
    """
    confirm(f"Delete {name}?", yes=yes)
    print_row(call("audiences.delete", {"name": name}), output)


add_alias(command, create, "add")
add_alias(command, delete, "remove")


def _build_fields(
    *, description: str | None, token_ttl: timedelta | None, alg: str | None, typ: str | None
) -> dict[str, Any]:
    fields = given(description=description, alg=alg, typ=typ)
    if token_ttl is not None:
        fields["token_ttl"] = whole_seconds(token_ttl) or None
    return fields


def _say_when_it_signs(alg: str) -> None:
    """Say from when on the algorithm of an audience signs, if it is not the default one."""
    if alg != DEFAULT_ALGORITHM:
        print_message(
            f"tokens are signed with {alg} as soon as every cache has a key of it, "
            f"and with {DEFAULT_ALGORITHM} until then;"
        )
        print_message(
            f"a running service makes the first {alg} key by itself; "
            "`tokensvc signing-key list` shows when it begins to sign"
        )
