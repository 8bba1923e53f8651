"""`--wait`: after a revocation, wait until all live followers have applied it.

Only followers that show a token count, because anybody can send a receipt without one. Those that
have not applied it in time are named, and the command ends with an exit code of its own.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from tokensvc.cli.exit_codes import ExitCode
from tokensvc.cli.output import print_message
from tokensvc.cli.run import call_whole
from tokensvc.cli.wait_word import DEFAULT_SECONDS
from tokensvc.core.errors import ForbiddenError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokensvc.cli.output import Row

_FIRST_POLL_SECONDS: Final = 0.1
_LONGEST_POLL_SECONDS: Final = 1.0  # calls over HTTP are limited
_MOST_NAMED: Final = 50


class _Followers(NamedTuple):
    """The live followers that prove their names, those of them that lag, and how many others."""

    proved: int
    laggards: list[Row]
    unproved: int


def wait_option(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--wait[=SECONDS]`; it calls `wait_for_followers` when it has printed."""
    return click.option(
        "--wait",
        type=click.IntRange(min=1, max=3600),
        metavar="[=SECONDS]",
        help="Wait until all followers have applied it, but no longer than this many seconds "
        f"({DEFAULT_SECONDS} without a number); exit code {ExitCode.FOLLOWERS_LAG} if some lag.",
    )(command)


def wait_for_followers(seconds: int | None) -> None:
    """Wait, unless `seconds` is None; end the command with its own exit code if some lag."""
    if seconds is None:
        return
    try:
        proved, laggards, unproved = _watch(seconds)
    except ForbiddenError as error:
        print_message(
            f"done, but it cannot be seen which followers have applied it: {error.message}"
        )
        click.get_current_context().exit(ExitCode.FOLLOWERS_LAG)
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
            f"  {laggard['name']}  at {laggard['applied']} of {laggard['head']}, "
            f"asked last {laggard['seen_at'][11:19]} UTC"
        )
    if len(laggards) > _MOST_NAMED:
        print_message(f"  and {len(laggards) - _MOST_NAMED} more")
    click.get_current_context().exit(ExitCode.FOLLOWERS_LAG)


def _watch(seconds: int) -> _Followers:
    deadline_on, pause = time.monotonic() + seconds, _FIRST_POLL_SECONDS
    target: int | None = None
    while True:
        known = call_whole("followers.list")
        alive = [follower for follower in known["items"] if follower["state"] != "silent"]
        # The first look decides: what others revoke later need not be waited for.
        if known["items"] and target is None:
            target = known["items"][0]["head"]  # at least the revocation that was just made
        proved = [follower for follower in alive if follower["authenticated"]]
        laggards = [follower for follower in proved if follower["applied"] < (target or 0)]
        left = deadline_on - time.monotonic()
        if not laggards or left <= 0:
            return _Followers(len(proved), laggards, known["unproved"])
        time.sleep(min(pause, left))
        pause = min(2 * pause, _LONGEST_POLL_SECONDS)
