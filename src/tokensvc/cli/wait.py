"""`--wait`: after a revocation, wait until all live followers have applied it.

Only followers that show a token count, because anybody can send a receipt without one. Those that
have not applied it in time are named, and the command ends with an exit code of its own.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from tokensvc.cli.database import run_use_case
from tokensvc.cli.exit_codes import ExitCode
from tokensvc.cli.output import print_message
from tokensvc.core.follower import find_laggards
from tokensvc.issuer.revoking.receipts import list_followers

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokensvc.core.follower import FollowerRecord
    from tokensvc.issuer.database import Database

_POLL_SECONDS: Final = 0.1
_DEFAULT_SECONDS: Final = 10
_MOST_NAMED: Final = 50


class _Followers(NamedTuple):
    """The live followers that prove their names, those of them that lag, and how many others."""

    proved: int
    laggards: list[FollowerRecord]
    unproved: int


def wait_option(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--wait[=SECONDS]`; it calls `wait_for_followers` when it has printed."""
    return click.option(
        "--wait",
        type=click.IntRange(min=1, max=3600),
        is_flag=False,
        flag_value=_DEFAULT_SECONDS,
        help="Wait until all followers have applied it, but no longer than this many seconds "
        f"({_DEFAULT_SECONDS} without a number); exit code {ExitCode.FOLLOWERS_LAG} if some lag.",
    )(command)


def wait_for_followers(seconds: int | None) -> None:
    """Wait, unless `seconds` is None; end the command with its own exit code if some lag."""
    if seconds is None:
        return
    proved, laggards, unproved = run_use_case(
        lambda database, _: _watch(database, seconds), changes=False
    )
    if not proved:
        print_message("no follower that proves its name is alive, so none was waited for")
    elif not laggards:
        print_message(f"applied by all {proved} followers that prove their names and are alive")
    if unproved:
        print_message(
            f"{unproved} more show no token: they can call themselves anything and do not count"
        )
    if not laggards:
        return
    print_message(f"applied by {proved - len(laggards)} of {proved} followers; these lag:")
    for laggard in laggards[:_MOST_NAMED]:
        print_message(
            f"  {laggard.id}  at {laggard.seq} of {laggard.head_seq}, "
            f"asked last {laggard.seen_at:%H:%M:%S} UTC"
        )
    if len(laggards) > _MOST_NAMED:
        print_message(f"  and {len(laggards) - _MOST_NAMED} more")
    click.get_current_context().exit(ExitCode.FOLLOWERS_LAG)


async def _watch(database: Database, seconds: int) -> _Followers:
    deadline_on = time.monotonic() + seconds
    target: int | None = None
    while True:
        followers = await list_followers(database)
        if followers and target is None:
            target = followers[0].head_seq  # at least the revocation that was just made
        alive = [follower for follower in followers if follower.state != "silent"]
        proved = [follower for follower in alive if follower.authenticated]
        laggards = find_laggards(proved, target or 0)
        if not laggards or time.monotonic() >= deadline_on:
            return _Followers(len(proved), laggards, len(alive) - len(proved))
        await asyncio.sleep(_POLL_SECONDS)
