"""`tokensvc audience`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tokensvc.cli.output import Duration, Row, output_option, print_row, print_rows, seconds
from tokensvc.cli.session import actor, operate
from tokensvc.issuer import audiences

if TYPE_CHECKING:
    from datetime import timedelta

    from tokensvc.core.exchange import Audience

_description = click.option("--description", default=None, help="Who that is.")
_token_ttl = click.option("--token-ttl", type=Duration("default"), help="How long its tokens live: 60s, 10m; or default.")


@click.group("audience")
def command() -> None:
    """Whom tokens are for: a relying party, or a group of them."""


@command.command("add")
@click.argument("name")
@_description
@_token_ttl
@output_option
def add(name: str, description: str | None, token_ttl: timedelta | None, output: str) -> None:
    """Add an audience.

    \b
    tokensvc audience add orders-api --token-ttl 5m
    """
    added = operate(
        lambda database, settings: audiences.add_audience(
            database, settings, name, description=description or "", token_life=token_ttl or None, actor=actor()
        )
    )
    print_row(_row(added), output)


@command.command("list")
@output_option
def list_(output: str) -> None:
    """List all audiences."""
    rows = [_row(audience) for audience in operate(lambda database, _: audiences.list_audiences(database))]
    print_rows(rows, output, columns=["name", "description", "token_ttl", "created_at"], empty="no audiences")


@command.command("update")
@click.argument("name")
@_description
@_token_ttl
@output_option
def update(name: str, description: str | None, token_ttl: timedelta | None, output: str) -> None:
    """Change an audience; what is not given stays. Live tokens keep their life."""
    updated = operate(
        lambda database, settings: audiences.update_audience(
            database, settings, name, description=description, token_life=token_ttl, actor=actor()
        )
    )
    print_row(_row(updated), output)


@command.command("remove")
@click.argument("name")
@output_option
def remove(name: str, output: str) -> None:
    """Remove an audience: no tokens for it any more; live ones stay good until they expire."""
    operate(lambda database, settings: audiences.remove_audience(database, settings, name, actor=actor()))
    print_row({"name": name, "state": "removed"}, output)


def _row(audience: Audience) -> Row:
    return {
        "name": audience.name,
        "description": audience.description,
        "token_ttl": seconds(audience.token_life),
        "created_at": audience.created_at,
    }
