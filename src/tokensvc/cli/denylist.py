"""`tokensvc denylist`."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import click

from tokensvc.cli.output import Duration, Row, output_option, print_row, print_rows, say
from tokensvc.cli.session import actor, operate
from tokensvc.cli.waiting import follower_row
from tokensvc.core.denylist.position import parse_cursor
from tokensvc.core.errors import UnavailableError
from tokensvc.issuer.mirror.mirror import POLL_SECONDS
from tokensvc.issuer.revoking.credentials import revoke_jti
from tokensvc.issuer.revoking.denylist import list_denylist
from tokensvc.issuer.revoking.receipts import list_followers
from tokensvc.issuer.revoking.watching import DenylistWatcher
from tokensvc.issuer.revoking.watermarks import revoke_tokens_of_account, revoke_tokens_of_key

if TYPE_CHECKING:
    from datetime import timedelta

    from tokensvc.core.denylist.record import RevocationRecord
    from tokensvc.issuer.database import Database
    from tokensvc.issuer.revoking.watching import Look


@click.group("denylist")
def command() -> None:
    """What has been revoked."""


@command.command("list")
@output_option
def list_(output: str) -> None:
    """List the entries in force, oldest first."""
    rows = [build_row(entry) for entry in operate(lambda database, _: list_denylist(database))]
    columns = ["seq", "kind", "value", "upto", "expires", "ending", "healed", "created_at"]
    print_rows(rows, output, columns=columns, empty="nothing is revoked")


@command.command("followers")
@output_option
def followers(output: str) -> None:
    """List who follows the feed and what each has applied, by its own word: it asks for what comes after that."""
    rows = [
        follower_row(follower) for follower in operate(lambda database, _: list_followers(database))
    ]
    columns = ["name", "state", "applied", "head", "lag_seconds", "seen_at", "authenticated"]
    print_rows(rows, output, columns=columns, empty="no follower was heard of in the last hour")


@command.command("add")
@click.option("--jti", help="One token, by its id.")
@click.option(
    "--exp-in",
    type=Duration(),
    help="With --jti: how long the token lives from now, at most; as long as any can by default.",
)
@click.option(
    "--key",
    "key_id",
    metavar="KEY_ID",
    help="All tokens that this key has got so far; the key itself stays as it is.",
)
@click.option(
    "--account", "account_id", metavar="ACCOUNT_ID", help="The same for all keys of an account."
)
@click.option("--reason", default="", help="For the audit trail.")
@output_option
def add(
    jti: str | None,
    exp_in: timedelta | None,
    key_id: str | None,
    account_id: str | None,
    reason: str,
    output: str,
) -> None:
    """Add an entry by hand: every follower refuses what it covers within a second.

    \b
    tokensvc denylist add --jti 4kVuZ0Wb0qfR2tq9c7Yd --exp-in 10m --reason "seen in a log"
    tokensvc denylist add --key key_...       new tokens are good at once; to stop those too: tokensvc key disable
    """
    if [jti, key_id, account_id].count(None) != 2:  # noqa: PLR2004 - two of three
        raise click.UsageError("name one thing: --jti, --key or --account")
    if exp_in is not None and jti is None:
        raise click.UsageError(
            "--exp-in goes with --jti: tokens of keys and accounts are revoked for as long as any can live"
        )
    if key_id is not None and not key_id.startswith("key_"):
        raise click.UsageError("--key takes the id of a key, key_..., never the key itself")

    async def act(database: Database) -> RevocationRecord:
        if jti is not None:
            return await revoke_jti(database, jti, exp_in, actor=actor(), reason=reason)
        if key_id is not None:
            return await revoke_tokens_of_key(database, key_id, actor=actor(), reason=reason)
        return await revoke_tokens_of_account(
            database, str(account_id), actor=actor(), reason=reason
        )

    print_row(build_row(operate(lambda database, _: act(database))), output)


@command.command("watch")
@click.option("--after", metavar="CURSOR", help="Go on after this entry; from now on by default.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    help="A line for people, or a JSON object a line.",
)
def watch(after: str | None, output: str) -> None:
    """Print entries as they come, until Ctrl-C.

    If the history goes back (a failover, a restored backup) that is said, with -o json also by a line {"reset": true}, and everything
    in force is printed again.
    """
    watcher = DenylistWatcher(None if after is None else parse_cursor(after))
    with contextlib.suppress(KeyboardInterrupt):
        operate(lambda database, _: _watch(database, watcher, output))


async def _watch(database: Database, watcher: DenylistWatcher, output: str) -> None:
    is_away = False
    say(
        f"watching, from {(await _show_once(database, watcher, output)).position} on; Ctrl-C ends it"
    )
    while True:
        await asyncio.sleep(POLL_SECONDS)
        try:
            await _show_once(database, watcher, output)
        except UnavailableError as error:
            if not is_away:
                say(error.message)
            is_away = True
        else:
            is_away = False


async def _show_once(database: Database, watcher: DenylistWatcher, output: str) -> Look:
    look = await watcher.look_once(database)
    if look.went_back:
        say(
            "THE HISTORY WENT BACK: a failover, a restored backup, or a position from elsewhere. Revocations may be lost. In force now:"
        )
        if output == "json":
            print_row({"reset": True, "cursor": str(look.position)}, output)
    for entry in look.records:
        row = {"cursor": str(entry.position), **build_row(entry)}
        if output == "json":
            print_row(row, output)
        else:
            upto = "" if row["upto"] is None else f" up to {row['upto']}"
            ending = describe_ending(entry)
            click.echo(f"{row['cursor']}  {row['kind']} {row['value']}{upto}  ({ending})")
    return look


def describe_ending(entry: RevocationRecord) -> str:
    """Return what came to its end, in words."""
    words = entry.ending.replace("_", " ")
    return f"{words}; written again after a loss" if entry.healed else words


def build_row(entry: RevocationRecord) -> Row:
    """Return an entry as it is printed."""
    revocation = entry.revocation
    return {
        "seq": entry.position.seq,
        "kind": revocation.kind,
        "value": revocation.value,
        "upto": revocation.upto,
        "expires": revocation.exp,
        "ending": entry.ending,
        "healed": entry.healed,
        "created_at": entry.created_at,
    }
