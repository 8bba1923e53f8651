"""`tokensvc denylist`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from tokensvc.cli.database import actor, run_use_case
from tokensvc.cli.denylist_watch import watch_denylist
from tokensvc.cli.duration import Duration
from tokensvc.cli.output import output_option, print_message, print_row, print_rows
from tokensvc.cli.rows import build_follower_row, build_revocation_row
from tokensvc.core.denylist.position import parse_cursor
from tokensvc.issuer.revoking.credentials import revoke_jti
from tokensvc.issuer.revoking.denylist import list_denylist
from tokensvc.issuer.revoking.endings import revoke_tokens_of_account, revoke_tokens_of_key
from tokensvc.issuer.revoking.receipts import list_and_count_followers
from tokensvc.issuer.revoking.watching import DenylistWatcher

if TYPE_CHECKING:
    from datetime import timedelta

    from tokensvc.core.denylist.record import RevocationRecord
    from tokensvc.issuer.database import Database


@click.group("denylist")
def command() -> None:
    """What has been revoked, and the followers of the feed."""


@command.command("list")
@output_option
def list_(output: str) -> None:
    """List the revocations in force, oldest first."""
    found = run_use_case(lambda database, _: list_denylist(database), changes=False)
    rows = [build_revocation_row(record) for record in found]
    columns = ["seq", "kind", "value", "upto", "expires", "ending", "healed", "created_at"]
    print_rows(rows, output, columns=columns, empty="nothing is revoked")


@command.command("followers")
@output_option
def followers(output: str) -> None:
    """List the followers of the feed.

    The list shows what each has applied. A follower tells that itself, when it asks for the next
    page. Followers that show no token can call themselves anything; only the latest are listed.
    """
    found, unproved = run_use_case(
        lambda database, _: list_and_count_followers(database), changes=False
    )
    rows = [build_follower_row(follower) for follower in found]
    columns = ["name", "state", "applied", "head", "lag_seconds", "seen_at", "authenticated"]
    print_rows(rows, output, columns=columns, empty="no follower was heard of in the last hour")
    left_out = unproved - sum(not follower.authenticated for follower in found)
    if left_out > 0:
        print_message(f"and {left_out} more that show no token")


@command.command("add")
@click.option("--jti", help="Revoke one token, by its id.")
@click.option(
    "--exp-in",
    type=Duration(),
    help="With --jti: the token lives no longer than this from now on. "
    "The default is the longest life that any token can have.",
)
@click.option(
    "--key",
    "key_id",
    metavar="KEY_ID",
    help="Revoke all tokens that this key has got so far. The key itself stays as it is.",
)
@click.option(
    "--account",
    "account_id",
    metavar="ACCOUNT_ID",
    help="Revoke all tokens that the keys of this account have got so far. The account itself "
    "stays as it is.",
)
@click.option("--reason", default="", help="A reason for the audit trail.")
@output_option
def add(
    jti: str | None,
    exp_in: timedelta | None,
    key_id: str | None,
    account_id: str | None,
    reason: str,
    output: str,
) -> None:
    """Add a revocation by hand.

    Every follower refuses the tokens that it covers within a second. The key or account can still
    get new tokens; to stop those too, use: tokensvc key disable.

    \b
    tokensvc denylist add --jti 4kVuZ0Wb0qfR2tq9c7Yd --exp-in 10m \\
      --reason "seen in a log"
    tokensvc denylist add --key key_...
    """
    _check_choice(jti, exp_in, key_id, account_id)

    async def revoke(database: Database) -> RevocationRecord:
        if jti is not None:
            return await revoke_jti(database, jti, exp_in, actor=actor(), reason=reason)
        if key_id is not None:
            return await revoke_tokens_of_key(database, key_id, actor=actor(), reason=reason)
        return await revoke_tokens_of_account(
            database, str(account_id), actor=actor(), reason=reason
        )

    record = run_use_case(lambda database, _: revoke(database))
    print_row(build_revocation_row(record), output)


@command.command("watch")
@click.option(
    "--after", metavar="CURSOR", help="Begin after this revocation; by default begin now."
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    help="A line for people, or a JSON object a line.",
)
def watch(after: str | None, output: str) -> None:
    """Print revocations as they come, until Ctrl-C.

    After a failover, or when a backup was restored, the history may have gone back. That is said,
    and everything in force is printed again. With -o json it is said by a line {"reset": true} too.
    """
    watcher = DenylistWatcher(None if after is None else parse_cursor(after))
    with contextlib.suppress(KeyboardInterrupt):
        run_use_case(lambda database, _: watch_denylist(database, watcher, output), changes=False)


def _check_choice(
    jti: str | None, exp_in: timedelta | None, key_id: str | None, account_id: str | None
) -> None:
    """Raise UsageError unless the options of `add` name exactly one thing, in the right way."""
    if [jti, key_id, account_id].count(None) != 2:  # noqa: PLR2004 - two of three
        raise click.UsageError("name one thing: --jti, --key or --account")
    if exp_in is not None and jti is None:
        raise click.UsageError(
            "--exp-in goes with --jti: tokens of a key or account are revoked for the longest life "
            "that any of them can have"
        )
    if key_id is not None and not key_id.startswith("key_"):
        raise click.UsageError("--key takes the id of a key, key_..., never the key itself")
