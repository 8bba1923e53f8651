"""`tokensvc account`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from tokensvc.cli.duration import Duration, whole_seconds
from tokensvc.cli.limits import build_limits, limit_options
from tokensvc.cli.moment import Moment
from tokensvc.cli.naming import ACCOUNT, reference
from tokensvc.cli.options import reason_option
from tokensvc.cli.output import (
    confirm,
    find_room,
    list_output_option,
    output_option,
    print_message,
    print_pages,
    print_row,
    report_output_option,
    yes_option,
)
from tokensvc.cli.run import call, call_pages, given, limit_option
from tokensvc.cli.state_change import change_state
from tokensvc.cli.wait import wait_for_followers, wait_option

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from tokensvc.cli.output import Row


_contact = click.option(
    "--contact", metavar="ADDRESS", help="Who is told of what happens to its keys, by mail."
)


@click.group("account")
def command() -> None:
    """Owners of API keys."""


@command.command("create")
@click.argument("name")
@_contact
@limit_options
@output_option
def create(name: str, contact: str | None, output: str, **limits: Any) -> None:
    """Create an account.

    \b
    tokensvc account create "Orders team" --contact orders@example.com
    """
    fields = build_limits(limits) | _build_contact(contact)
    account = call("accounts.create", {"name": name, **fields})
    print_row(account, output)
    if output == "text":
        _tell_of_link(account)
        print_message(
            f"next: tokensvc key create --account {account['id']} "
            "--name ci --capability orders:read"
        )


@command.command("list")
@click.option("--name", help="Only accounts with this in their name.")
@click.option("--state", type=click.Choice(["active", "suspended"]), help="Only such accounts.")
@click.option("--created-before", type=Moment(), help="Only accounts that are older.")
@click.option(
    "--sort",
    type=click.Choice(["created_at", "-created_at", "name", "-name"]),
    help="The order; - turns it round.",
)
@limit_option()
@list_output_option
def list_(output: str, created_before: datetime | None, **filters: Any) -> None:
    """List accounts."""
    wanted = given(created_before=created_before and created_before.isoformat(), **filters)
    print_pages(
        call_pages("accounts.list", wanted),
        output,
        columns=["id", "name", "state", "tier", "created_at"],
        empty="no such accounts" if wanted else "no accounts yet: tokensvc account create NAME",
    )


@command.command("show")
@reference(ACCOUNT, "account_id")
@output_option
def show(account_id: str, output: str) -> None:
    """Show one account."""
    print_row(call("accounts.show", {"id": account_id}), output)


@command.command("usage")
@reference(ACCOUNT, "account_id")
@click.option(
    "--since", type=Duration(), default="24h", show_default=True, help="How far back: 24h, 7d, 30d."
)
@report_output_option
def usage(account_id: str, since: timedelta, output: str) -> None:
    """Show what the keys of an account got by the hour.

    It also shows what is used of the limits of the account.
    """
    shown = call("accounts.show-usage", {"id": account_id, "since": whole_seconds(since)})
    if output == "json":
        click.echo(json.dumps(shown))
        return
    from tokensvc.cli.usage import draw_counts, list_windows  # noqa: PLC0415 - for this one alone

    for line in list_windows(shown):
        click.echo(line)
    click.echo(f"active keys {shown['keys']['active']:>8} of {shown['keys']['total']}")
    click.echo()
    click.echo(draw_counts(shown, find_room()))


@command.command("update")
@reference(ACCOUNT, "account_id")
@click.option("--name", help="A new name.")
@_contact
@limit_options
@output_option
def update(
    account_id: str, name: str | None, contact: str | None, output: str, **limits: Any
) -> None:
    """Change the name, the limits or the contact of an account.

    The limits say how many tokens all its keys together may get.

    \b
    tokensvc account update acct_... --tier pro
    tokensvc account update acct_... --per-day 200000
    """
    changes = given(name=name) | build_limits(limits) | _build_contact(contact)
    account = call("accounts.update", {"id": account_id, **changes})
    print_row(account, output)
    if output == "text" and contact:
        _tell_of_link(account)


@command.command("set-contact")
@reference(ACCOUNT, "account_id")
@click.argument("address")
@output_option
def set_contact(account_id: str, address: str, output: str) -> None:
    """Change the mailbox that is told about the keys ('' for none).

    The address is sent a link, and nothing else before that is confirmed. The contact from before
    gets no more notices. An owner with tokensvc:keys may do this for their own account.

    \b
    tokensvc account set-contact acct_... ops@example.com
    """
    account = call("accounts.set-contact", {"id": account_id, **_build_contact(address)})
    print_row(account, output)
    if output == "text":
        _tell_of_link(account)


@command.command("suspend")
@reference(ACCOUNT, "account_id")
@reason_option
@yes_option
@wait_option
@output_option
def suspend(
    account_id: str, reason: str | None, output: str, wait: int | None, *, yes: bool
) -> None:
    """Suspend an account; `resume` ends it.

    Its keys get no tokens, and all its live tokens are refused within a second.
    """
    confirm(f"Suspend {account_id}? All its live tokens will be revoked.", yes=yes)
    change_state(
        "accounts.suspend", {"id": account_id, **given(reason=reason)}, output, "suspended_at"
    )
    wait_for_followers(wait)


@command.command("resume")
@reference(ACCOUNT, "account_id")
@output_option
def resume(account_id: str, output: str) -> None:
    """End a suspension.

    The keys get new tokens. The tokens from before stay revoked.
    """
    change_state("accounts.resume", {"id": account_id}, output, "suspended_at")


@command.command("revoke-tokens")
@reference(ACCOUNT, "account_id")
@reason_option
@yes_option
@wait_option
@output_option
def revoke_tokens(
    account_id: str, reason: str | None, output: str, wait: int | None, *, yes: bool
) -> None:
    """Revoke the tokens that all keys of an account have got.

    The account and its keys stay as they are, and can get new tokens.
    """
    confirm(f"Revoke all tokens that the keys of {account_id} have got?", yes=yes)
    print_row(call("accounts.revoke-tokens", {"id": account_id, **given(reason=reason)}), output)
    wait_for_followers(wait)


@command.command("delete")
@reference(ACCOUNT, "account_id")
@yes_option
@wait_option
@output_option
def delete(account_id: str, output: str, wait: int | None, *, yes: bool) -> None:
    """Delete an account for good.

    Its keys are deleted and all their tokens are revoked. The audit trail stays.
    """
    confirm(f"Delete {account_id} with all its keys? This cannot be undone.", yes=yes)
    print_row(call("accounts.delete", {"id": account_id}), output)
    wait_for_followers(wait)


def _build_contact(address: str | None) -> dict[str, Any]:
    """Return what `--contact` asks for: an empty text ends the contact."""
    return {} if address is None else {"contact": address or None}


def _tell_of_link(account: Row) -> None:
    if account["contact"] is not None and account["contact_confirmed_at"] is None:
        print_message(
            f"a link was sent to {account['contact']}; nothing else is sent before it is confirmed"
        )
