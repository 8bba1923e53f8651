"""`tokensvc audience`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tokensvc.cli.database import actor, run_use_case
from tokensvc.cli.duration import Duration
from tokensvc.cli.output import output_option, print_message, print_row, print_rows
from tokensvc.cli.rows import build_audience_row
from tokensvc.core.algorithm import ALGORITHMS, DEFAULT_ALGORITHM
from tokensvc.issuer.admin import audiences

if TYPE_CHECKING:
    from datetime import timedelta

    from tokensvc.core.audience import Audience

_description = click.option("--description", default=None, help="What the audience is.")
_token_ttl = click.option(
    "--token-ttl", type=Duration("default"), help="How long its tokens live: 60s, 10m, or default."
)
_alg = click.option(
    "--alg",
    type=click.Choice(ALGORITHMS),
    help=f"The algorithm that signs its tokens; {DEFAULT_ALGORITHM} for a new audience.",
)


@click.group("audience")
def command() -> None:
    """The services that tokens are for: a relying party, or a group of them."""


@command.command("add")
@click.argument("name")
@_description
@_token_ttl
@_alg
@output_option
def add(
    name: str, description: str | None, token_ttl: timedelta | None, alg: str | None, output: str
) -> None:
    """Add an audience.

    \b
    tokensvc audience add orders-api --token-ttl 5m
    tokensvc audience add legacy-api --alg RS256
    """
    added = run_use_case(
        lambda database, settings: audiences.add_audience(
            database,
            settings,
            name,
            description=description or "",
            token_life=token_ttl or None,
            alg=alg or DEFAULT_ALGORITHM,
            actor=actor(),
        )
    )
    print_row(build_audience_row(added), output)
    _say_when_it_signs(added)


@command.command("list")
@output_option
def list_(output: str) -> None:
    """List all audiences."""
    found = run_use_case(lambda database, _: audiences.list_audiences(database), changes=False)
    print_rows(
        [build_audience_row(audience) for audience in found],
        output,
        columns=["name", "description", "token_ttl", "alg", "created_at"],
        empty="no audiences",
    )


@command.command("update")
@click.argument("name")
@_description
@_token_ttl
@_alg
@output_option
def update(
    name: str, description: str | None, token_ttl: timedelta | None, alg: str | None, output: str
) -> None:
    """Change an audience.

    What is not given stays as it is. Tokens that are already issued keep their life.
    """
    updated = run_use_case(
        lambda database, settings: audiences.update_audience(
            database,
            settings,
            name,
            description=description,
            token_life=token_ttl,
            alg=alg,
            actor=actor(),
        )
    )
    print_row(build_audience_row(updated), output)
    if alg is not None:
        _say_when_it_signs(updated)


@command.command("remove")
@click.argument("name")
@output_option
def remove(name: str, output: str) -> None:
    """Remove an audience.

    No more tokens are issued for it. Tokens that are already issued stay good until they expire.
    """
    run_use_case(
        lambda database, settings: audiences.remove_audience(
            database, settings, name, actor=actor()
        )
    )
    print_row({"name": name, "state": "removed"}, output)


def _say_when_it_signs(audience: Audience) -> None:
    """Say from when on the algorithm of the audience signs, if it is not the default one."""
    alg = audience.alg
    if alg != DEFAULT_ALGORITHM:
        print_message(
            f"tokens are signed with {alg} as soon as every cache has a key of it, "
            f"and with {DEFAULT_ALGORITHM} until then;"
        )
        print_message(
            f"a running service makes the first {alg} key by itself; "
            "`tokensvc signing-key list` shows when it begins to sign"
        )
