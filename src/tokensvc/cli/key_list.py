"""`tokensvc key list`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from tokensvc.cli.moment import Moment
from tokensvc.cli.naming import ACCOUNT, reference
from tokensvc.cli.options import Member
from tokensvc.cli.output import list_output_option, print_pages
from tokensvc.cli.run import call_pages, given, limit_option

if TYPE_CHECKING:
    from collections.abc import Callable

_SHOWN: Final = "id name state expires_at last_used_at account hint capabilities"
_MOMENTS: Final = ("created_before", "used_before", "expires_before")
_ORDERS: Final = ("created_at", "name", "last_used_at", "expires_at")

_OPTIONS: Final = (
    reference(ACCOUNT, "account", click.option("--account", help="Only keys of this account.")),
    click.option(
        "--state",
        type=click.Choice(["active", "disabled", "revoked", "expired"]),
        help="Only keys in this state.",
    ),
    click.option("--capability", help="Only keys that hold it."),
    click.option("--audience", help="Only keys whose tokens may be for it."),
    click.option("--name", help="Only keys with this in their name or hint."),
    click.option("--created-before", type=Moment(), help="Only keys that are older."),
    click.option("--used-before", type=Moment(), help="Only keys not used since, or never."),
    click.option("--expires-before", type=Moment(), help="Only keys that expire before."),
    click.option("--never-expires", is_flag=True, default=None, help="Only keys without an end."),
    click.option("--replaced", is_flag=True, default=None, help="Only keys with a successor."),
    click.option(
        "--metadata", type=Member(), multiple=True, help="Only keys with this note: team=orders."
    ),
    click.option(
        "--sort",
        type=click.Choice([f"{sign}{name}" for name in _ORDERS for sign in ("", "-")]),
        metavar="FIELD",
        help=f"The order: {', '.join(_ORDERS)}; - before it turns it round.",
    ),
)


def _filters(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command("list")
@_filters
@limit_option()
@list_output_option
def list_(output: str, metadata: tuple[tuple[str, str], ...], **filters: Any) -> None:
    """List API keys.

    They are printed as they come, however many there are.
    """
    wanted = given(**filters)
    wanted |= {name: wanted[name].isoformat() for name in _MOMENTS if name in wanted}
    if metadata:
        wanted["metadata"] = dict(metadata)
    print_pages(
        call_pages("keys.list", wanted),
        output,
        columns=_SHOWN.split(),
        empty="no such keys" if wanted else "no keys yet: tokensvc key create --help",
    )
