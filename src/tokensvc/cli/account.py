"""`tokensvc account`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tokensvc.cli.limits import limit_changes, limit_options
from tokensvc.cli.output import Row, confirm, output_option, print_row, print_rows, say, yes_option
from tokensvc.cli.session import actor, operate
from tokensvc.cli.waiting import wait_for_followers, wait_option
from tokensvc.issuer.admin import accounts
from tokensvc.issuer.revoking import watermarks

if TYPE_CHECKING:
    from tokensvc.core.account import Account


@click.group("account")
def command() -> None:
    """Owners of API keys."""


@command.command("create")
@click.argument("name")
@output_option
def create(name: str, output: str) -> None:
    """Create an account.

    \b
    tokensvc account create "Orders team"
    """
    account = operate(lambda database, _: accounts.create_account(database, name, actor=actor()))
    print_row(_row(account), output)
    if output == "text":
        say(f"next: tokensvc key create --account {account.id} --name ci --capability orders:read")


@command.command("list")
@output_option
def list_(output: str) -> None:
    """List all accounts."""
    found = operate(lambda database, _: accounts.list_accounts(database))
    rows = [_row(account) for account in found]
    print_rows(
        rows,
        output,
        columns=["id", "name", "state", "tier", "created_at"],
        empty="no accounts yet: tokensvc account create NAME",
    )


@command.command("show")
@click.argument("account_id")
@output_option
def show(account_id: str, output: str) -> None:
    """Show one account."""
    print_row(
        _row(operate(lambda database, _: accounts.load_account(database, account_id))), output
    )


@command.command("update")
@click.argument("account_id")
@click.option("--name", help="A new name.")
@limit_options
@output_option
def update(
    account_id: str,
    name: str | None,
    tier: str | None,
    per_minute: int | None,
    per_day: int | None,
    output: str,
) -> None:
    """Change an account: its name, and how many tokens all its keys together may get.

    \b
    tokensvc account update acct_... --tier pro
    tokensvc account update acct_... --per-day 200000
    """
    changes = limit_changes(tier, per_minute, per_day)
    print_row(
        _row(
            operate(
                lambda database, _: accounts.update_account(
                    database, account_id, name=name, limits=changes, actor=actor()
                )
            )
        ),
        output,
    )


@command.command("suspend")
@click.argument("account_id")
@yes_option
@wait_option
@output_option
def suspend(account_id: str, output: str, wait: int | None, *, yes: bool) -> None:
    """Suspend an account: its keys get no tokens, and its live tokens are refused within a second. Reversible."""
    confirm(f"Suspend {account_id}? All its live tokens die.", yes=yes)
    print_row(
        _row(
            operate(
                lambda database, _: watermarks.suspend_account(database, account_id, actor=actor())
            )
        ),
        output,
    )
    wait_for_followers(wait)


@command.command("resume")
@click.argument("account_id")
@output_option
def resume(account_id: str, output: str) -> None:
    """End a suspension. Tokens from before stay dead; the keys get new ones."""
    print_row(
        _row(
            operate(
                lambda database, _: accounts.resume_account(database, account_id, actor=actor())
            )
        ),
        output,
    )


@command.command("delete")
@click.argument("account_id")
@yes_option
@wait_option
@output_option
def delete(account_id: str, output: str, wait: int | None, *, yes: bool) -> None:
    """Delete an account, its keys and their tokens, for good. The audit trail stays."""
    confirm(f"Delete {account_id} with all its keys? This cannot be undone.", yes=yes)
    operate(lambda database, _: watermarks.delete_account(database, account_id, actor=actor()))
    print_row({"id": account_id, "state": "deleted"}, output)
    wait_for_followers(wait)


def _row(account: Account) -> Row:
    return {
        "id": account.id,
        "name": account.name,
        "state": account.state,
        "created_at": account.created_at,
        "suspended_at": account.suspended_at,
        "tier": account.limits.tier,
        "per_minute": account.minute_limit,
        "per_day": account.day_limit,
    }
