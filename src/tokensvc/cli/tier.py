"""`tokensvc tier`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

import click

from tokensvc.cli.database import actor, run_use_case
from tokensvc.cli.output import output_option, print_row, print_rows
from tokensvc.issuer.admin import tiers

if TYPE_CHECKING:
    from collections.abc import Callable

_COLUMNS: Final = [
    "name",
    "key_per_minute",
    "key_per_day",
    "account_per_minute",
    "account_per_day",
    "description",
]
_number = click.IntRange(min=1)


@click.group("tier")
def command() -> None:
    """Named sets of limits.

    An account has one, `default` at first. Its keys have the same one, unless they name another.
    """


def _account_limits(function: Callable[..., None]) -> Callable[..., None]:
    minute = click.option(
        "--account-per-minute",
        type=_number,
        help="Tokens a minute for all keys of an account; 10 times a key's for a new tier.",
    )
    day = click.option("--account-per-day", type=_number, help="The same per day (UTC).")
    return minute(day(function))


@command.command("add")
@click.argument("name")
@click.option("--per-minute", type=_number, required=True, help="Tokens a minute for each key.")
@click.option("--per-day", type=_number, required=True, help="Tokens a day (UTC) for each key.")
@_account_limits
@click.option("--description", default="", help="What the tier is for.")
@output_option
def add(
    name: str,
    per_minute: int,
    per_day: int,
    account_per_minute: int | None,
    account_per_day: int | None,
    description: str,
    output: str,
) -> None:
    """Add a tier.

    \b
    tokensvc tier add pro --per-minute 600 --per-day 100000
    tokensvc account update acct_... --tier pro
    """
    added = run_use_case(
        lambda database, _: tiers.add_tier(
            database,
            name,
            description=description,
            key_per_minute=per_minute,
            key_per_day=per_day,
            account_per_minute=account_per_minute,
            account_per_day=account_per_day,
            actor=actor(),
        )
    )
    print_row(dataclasses.asdict(added), output)


@command.command("list")
@output_option
def list_(output: str) -> None:
    """List all tiers."""
    found = run_use_case(lambda database, _: tiers.list_tiers(database), changes=False)
    rows = [dataclasses.asdict(tier) for tier in found]
    print_rows(rows, output, columns=_COLUMNS, empty="no tiers")


@command.command("update")
@click.argument("name")
@click.option("--per-minute", type=_number, help="Tokens a minute for each key.")
@click.option("--per-day", type=_number, help="Tokens a day (UTC) for each key.")
@_account_limits
@click.option("--description", help="What the tier is for.")
@output_option
def update(
    name: str,
    per_minute: int | None,
    per_day: int | None,
    account_per_minute: int | None,
    account_per_day: int | None,
    description: str | None,
    output: str,
) -> None:
    """Change a tier.

    What is not given stays as it is. The change holds from the next exchange on.
    """
    updated = run_use_case(
        lambda database, _: tiers.update_tier(
            database,
            name,
            description=description,
            key_per_minute=per_minute,
            key_per_day=per_day,
            account_per_minute=account_per_minute,
            account_per_day=account_per_day,
            actor=actor(),
        )
    )
    print_row(dataclasses.asdict(updated), output)


@command.command("remove")
@click.argument("name")
@output_option
def remove(name: str, output: str) -> None:
    """Remove a tier that no account and no key has."""
    run_use_case(lambda database, _: tiers.remove_tier(database, name, actor=actor()))
    print_row({"name": name, "state": "removed"}, output)
