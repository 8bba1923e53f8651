"""What pages say of an ending: how many tokens it stops, and which followers have applied it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from tokensvc.web.dashboard.page import Visit

HOUR: Final = 3600
_LONGEST_SEQ: Final = 18  # digits


def estimate_live(hours: Iterable[Any], until: datetime, life: int) -> int:
    """Return about how many tokens live: there is no row for each of them.

    `hours`: what was issued by the hour. `life`: of a token, in seconds.
    """
    since = until.timestamp() - life
    live = 0.0
    for hour in hours:
        begins = hour.hour.timestamp()
        ends = min(begins + HOUR, until.timestamp())
        # Of an hour that lies within the life of a token in part, the same part is counted.
        live += hour.issued * max(0.0, ends - max(begins, since)) / max(1.0, ends - begins)
    return round(live)


async def find_seq(visit: Visit) -> str:
    """Return the place in the denylist that has what was ended a moment ago."""
    head = await visit.run("revocations.watch", wait=0)
    return str(head.cursor).partition("-")[0]


def read_seq(visit: Visit) -> int:
    """Return the place that an address names, 0 for none."""
    text = visit.query.get("seq", "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_SEQ else 0


async def look_at_followers(visit: Visit, seq: int) -> dict[str, Any]:
    """Return how many followers there are, and those that have not applied `seq` yet."""
    followers = (await visit.run_whole("followers.list")).items
    behind = [follower for follower in followers if follower.applied < seq]
    return {
        "count": len(followers),
        "behind": [
            (each.name, each.applied, round(each.lag_seconds), each.seen_at) for each in behind
        ],
    }
