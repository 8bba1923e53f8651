"""`tokensvc denylist`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tokensvc.cli.denylist_watch import watch_denylist
from tokensvc.cli.duration import Duration, whole_seconds
from tokensvc.cli.naming import ACCOUNT, KEY, SIGNING_KEY, find_id, mention
from tokensvc.cli.options import add_alias, reason_option
from tokensvc.cli.output import (
    confirm,
    list_output_option,
    output_option,
    print_message,
    print_pages,
    print_row,
    yes_option,
)
from tokensvc.cli.run import call, call_pages, call_whole, given, limit_option

if TYPE_CHECKING:
    from datetime import timedelta


@click.group("denylist")
def command() -> None:
    """What has been revoked, and the followers of the feed."""


@command.command("list")
@click.option(
    "--kind", type=click.Choice(["jti", "key", "account", "kid"]), help="Only those of this kind."
)
@mention(
    "value",
    "revocations.list",
    [KEY, ACCOUNT, SIGNING_KEY],
    click.option("--value", help="Only those of this token, key, account or signing key."),
)
@click.option("--newest-first", is_flag=True, help="Begin with the newest.")
@limit_option()
@list_output_option
def list_(kind: str | None, value: str | None, output: str, *, newest_first: bool) -> None:
    """List the revocations in force, oldest first.

    Each says who made it and why, as far as the audit trail tells.
    """
    wanted = given(kind=kind, value=value, sort="-seq" if newest_first else None)
    print_pages(
        call_pages("revocations.list", wanted),
        output,
        columns=["seq", "kind", "value", "ending", "created_at", "made_by", "expires", "reason"],
        sentences="reason",
        empty="nothing is revoked",
    )


@command.command("count")
@output_option
def count(output: str) -> None:
    """Count the revocations in force, by what they end."""
    print_row(call("revocations.count"), output)


@command.command("followers")
@list_output_option
def followers(output: str) -> None:
    """List the followers of the feed.

    The list shows what each has applied. A follower tells that itself, when it asks for the next
    page. Followers that show no token can call themselves anything; only the latest are listed.
    """
    known = call_whole("followers.list")
    found = known["items"]
    columns = ["name", "state", "applied", "head", "lag_seconds", "seen_at", "authenticated"]
    print_pages([found], output, columns=columns, empty="no follower was heard of in the last hour")
    left_out = known["unproved"] - sum(not follower["authenticated"] for follower in found)
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
    metavar="KEY_ID",
    help="Revoke all tokens that this key has got so far. The key itself stays as it is.",
)
@click.option(
    "--account",
    metavar="ACCOUNT_ID",
    help="Revoke all tokens that the keys of this account have got so far. The account itself "
    "stays as it is.",
)
@reason_option
@yes_option
@output_option
def add(
    jti: str | None,
    exp_in: timedelta | None,
    key: str | None,
    account: str | None,
    reason: str | None,
    output: str,
    *,
    yes: bool,
) -> None:
    """Add a revocation by hand.

    Every follower refuses the tokens that it covers within a second. The key or account can still
    get new tokens; to stop those too, use: tokensvc key disable.

    \b
    tokensvc denylist add --jti 4kVuZ0Wb0qfR2tq9c7Yd --exp-in 10m \\
      --reason "seen in a log"
    tokensvc denylist add --key key_...
    """
    _check_choice(jti, exp_in, key, account)
    seconds = None if exp_in is None else whole_seconds(exp_in)
    named = given(
        jti=jti, key=key and find_id(KEY, key), account=account and find_id(ACCOUNT, account)
    )
    confirm(_build_question(named), yes=yes)
    request = {**named, **given(exp_in=seconds, reason=reason)}
    print_row(call("revocations.create", request), output)


add_alias(command, add, "create")


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
    watch_denylist(after, output)


def _build_question(named: dict[str, str]) -> str:
    ((kind, value),) = named.items()
    what = f"the token {value}" if kind == "jti" else f"all tokens that {value} has got so far"
    return f"Revoke {what}? This cannot be undone."


def _check_choice(
    jti: str | None, exp_in: timedelta | None, key: str | None, account: str | None
) -> None:
    """Raise UsageError unless the options of `add` name exactly one thing, in the right way."""
    if [jti, key, account].count(None) != 2:  # noqa: PLR2004 - two of the three
        raise click.UsageError("name one thing: --jti, --key or --account")
    if exp_in is not None and jti is None:
        raise click.UsageError(
            "--exp-in goes with --jti: tokens of a key or account are revoked for the longest life "
            "that any of them can have"
        )
