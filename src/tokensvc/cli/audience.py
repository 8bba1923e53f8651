"""`tokensvc audience`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tokensvc.cli.output import Duration, Row, output_option, print_row, print_rows, say, seconds
from tokensvc.cli.session import actor, operate
from tokensvc.core.jwks import ALGORITHMS
from tokensvc.core.keyring import DEFAULT_ALGORITHM
from tokensvc.issuer.admin import audiences

if TYPE_CHECKING:
    from datetime import timedelta

    from tokensvc.core.audience import Audience

_description = click.option("--description", default=None, help="Who that is.")
_token_ttl = click.option(
    "--token-ttl", type=Duration("default"), help="How long its tokens live: 60s, 10m; or default."
)

_alg = click.option(
    "--alg",
    type=click.Choice(ALGORITHMS),
    help="What signs its tokens; ES256 unless told otherwise.",
)


@click.group("audience")
def command() -> None:
    """Whom tokens are for: a relying party, or a group of them."""


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
    added = operate(
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
    print_row(_row(added), output)
    _say_when(added)


@command.command("list")
@output_option
def list_(output: str) -> None:
    """List all audiences."""
    rows = [
        _row(audience)
        for audience in operate(lambda database, _: audiences.list_audiences(database))
    ]
    print_rows(
        rows,
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
    """Change an audience; what is not given stays. Live tokens keep their life."""
    updated = operate(
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
    print_row(_row(updated), output)
    if alg is not None:
        _say_when(updated)


@command.command("remove")
@click.argument("name")
@output_option
def remove(name: str, output: str) -> None:
    """Remove an audience: no tokens for it any more; live ones stay good until they expire."""
    operate(
        lambda database, settings: audiences.remove_audience(
            database, settings, name, actor=actor()
        )
    )
    print_row({"name": name, "state": "removed"}, output)


def _say_when(audience: Audience) -> None:
    if audience.alg != DEFAULT_ALGORITHM:
        say(
            f"tokens are signed with {audience.alg} as soon as every cache has a key of it, until then with {DEFAULT_ALGORITHM};"
        )
        say(
            f"a running service makes the first {audience.alg} key by itself: tokensvc signing-key list tells from when it signs"
        )


def _row(audience: Audience) -> Row:
    return {
        "name": audience.name,
        "description": audience.description,
        "token_ttl": seconds(audience.token_life),
        "alg": audience.alg,
        "created_at": audience.created_at,
    }
