"""`tokensvc account`."""

from __future__ import annotations

import click

from tokensvc.cli.database import actor, run_use_case
from tokensvc.cli.limits import build_limit_changes, limit_options
from tokensvc.cli.output import (
    confirm,
    output_option,
    print_message,
    print_row,
    print_rows,
    yes_option,
)
from tokensvc.cli.rows import build_account_row
from tokensvc.cli.wait import wait_for_followers, wait_option
from tokensvc.issuer.admin import accounts
from tokensvc.issuer.revoking import endings


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
    account = run_use_case(
        lambda database, _: accounts.create_account(database, name, actor=actor())
    )
    print_row(build_account_row(account), output)
    if output == "text":
        print_message(
            f"next: tokensvc key create --account {account.id} --name ci --capability orders:read"
        )


@command.command("list")
@output_option
def list_(output: str) -> None:
    """List all accounts."""
    found = run_use_case(lambda database, _: accounts.list_accounts(database), changes=False)
    print_rows(
        [build_account_row(account) for account in found],
        output,
        columns=["id", "name", "state", "tier", "created_at"],
        empty="no accounts yet: tokensvc account create NAME",
    )


@command.command("show")
@click.argument("account_id")
@output_option
def show(account_id: str, output: str) -> None:
    """Show one account."""
    account = run_use_case(
        lambda database, _: accounts.load_account(database, account_id), changes=False
    )
    print_row(build_account_row(account), output)


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
    """Change the name of an account, or its limits.

    The limits say how many tokens all its keys together may get.

    \b
    tokensvc account update acct_... --tier pro
    tokensvc account update acct_... --per-day 200000
    """
    limits = build_limit_changes(tier, per_minute, per_day)
    account = run_use_case(
        lambda database, _: accounts.update_account(
            database, account_id, name=name, limits=limits, actor=actor()
        )
    )
    print_row(build_account_row(account), output)


@command.command("suspend")
@click.argument("account_id")
@yes_option
@wait_option
@output_option
def suspend(account_id: str, output: str, wait: int | None, *, yes: bool) -> None:
    """Suspend an account; `resume` ends it.

    Its keys get no tokens, and all its live tokens are refused within a second.
    """
    confirm(f"Suspend {account_id}? All its live tokens will be revoked.", yes=yes)
    account = run_use_case(
        lambda database, _: endings.suspend_account(database, account_id, actor=actor())
    )
    print_row(build_account_row(account), output)
    wait_for_followers(wait)


@command.command("resume")
@click.argument("account_id")
@output_option
def resume(account_id: str, output: str) -> None:
    """End a suspension.

    The keys get new tokens. The tokens from before stay revoked.
    """
    account = run_use_case(
        lambda database, _: accounts.resume_account(database, account_id, actor=actor())
    )
    print_row(build_account_row(account), output)


@command.command("delete")
@click.argument("account_id")
@yes_option
@wait_option
@output_option
def delete(account_id: str, output: str, wait: int | None, *, yes: bool) -> None:
    """Delete an account for good.

    Its keys are deleted and all their tokens are revoked. The audit trail stays.
    """
    confirm(f"Delete {account_id} with all its keys? This cannot be undone.", yes=yes)
    run_use_case(lambda database, _: endings.delete_account(database, account_id, actor=actor()))
    print_row({"id": account_id, "state": "deleted"}, output)
    wait_for_followers(wait)
