"""`--wait`: after a revocation, wait until every follower that is alive has applied it, and name those that have not."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

import click

from tokensvc.cli.output import say
from tokensvc.cli.session import operate
from tokensvc.core.follower import find_laggards
from tokensvc.issuer.revoking.receipts import list_followers

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokensvc.core.follower import FollowerRecord
    from tokensvc.issuer.database import Database

LAGGING: Final = 7  # exit code: done, but not everywhere
_POLL_SECONDS: Final = 0.1
_DEFAULT_SECONDS: Final = 10


def wait_option(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--wait[=SECONDS]`; call `wait_for_followers(wait)` after the act and its output."""
    return click.option(
        "--wait",
        type=click.IntRange(min=1, max=3600),
        is_flag=False,
        flag_value=_DEFAULT_SECONDS,
        help=f"Wait until all followers have applied it, {_DEFAULT_SECONDS} s at most if not said otherwise; else exit code {LAGGING}.",
    )(command)


def wait_for_followers(seconds: int | None) -> None:
    """Wait, if that is wanted; end the command with its own exit code if some followers still lag."""
    if seconds is None:
        return
    alive, laggards = operate(lambda database, _: _watch(database, seconds))
    if not laggards:
        say(
            f"applied by all {alive} followers that are alive"
            if alive
            else "no follower is alive: nobody has asked for a minute"
        )
        return
    say(f"applied by {alive - len(laggards)} of {alive} followers; these lag:")
    for laggard in laggards:
        say(
            f"  {laggard.name}  at {laggard.seq} of {laggard.head_seq}, asked last {laggard.seen_at:%H:%M:%S} UTC"
        )
    click.get_current_context().exit(LAGGING)


async def _watch(database: Database, seconds: int) -> tuple[int, list[FollowerRecord]]:
    deadline = time.monotonic() + seconds
    target: int | None = None
    while True:
        followers = await list_followers(database)
        target = (
            followers[0].head_seq if followers and target is None else target
        )  # at least the entry that was just made
        alive = [follower for follower in followers if follower.state != "silent"]
        alive = [
            follower for follower in alive if follower.authenticated
        ] or alive  # where names are proved, others do not count
        laggards = find_laggards(alive, target or 0)
        if not laggards or time.monotonic() >= deadline:
            return len(alive), laggards
        await asyncio.sleep(_POLL_SECONDS)


def follower_row(follower: FollowerRecord) -> dict[str, Any]:
    """Return a follower as commands print it."""
    return {
        "name": follower.name,
        "state": follower.state,
        "applied": follower.seq,
        "head": follower.head_seq,
        "lag_seconds": round(follower.lag_seconds, 3),
        "seen_at": follower.seen_at,
        "authenticated": follower.authenticated,
    }
