"""What pages say of an ending: how many tokens it stops, and which followers have applied it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tokensvc.core.errors import NotFoundError
from tokensvc.web.app_keys import SERVICE
from tokensvc.web.dashboard.denylist import ALARM_SECONDS
from tokensvc.web.dashboard.lists import build_link
from tokensvc.web.dashboard.live import wait_for_news
from tokensvc.web.dashboard.moments import write_span
from tokensvc.web.dashboard.page import Redirect, View

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from tokensvc.web.dashboard.page import Visit

_HOUR: Final = 3600
_LONGEST_SEQ: Final = 18  # digits


class Ended(NamedTuple):
    """What has come to its end, in words. `consequence`: what holds from now on."""

    title: str
    consequence: str


def read_reason(visit: Visit) -> str:
    """Return why something is ended: the reason that was chosen, and the note that was typed."""
    told = (visit.typed.value("reason"), visit.typed.value("note").strip())
    return ": ".join(part for part in told if part)


def find_horizon(visit: Visit) -> int:
    """Return how far back use must be read to tell how many tokens live, in seconds."""
    # A live token was given out within the longest life; use is counted by the hour.
    return visit.request.app[SERVICE].settings.max_token_ttl + _HOUR


def estimate_live(visit: Visit, hours: Iterable[Any], until: datetime) -> int:
    """Return about how many tokens live: there is no row for each of them.

    `hours`: what was issued by the hour.
    """
    since = until.timestamp() - visit.request.app[SERVICE].settings.token_ttl
    live = 0.0
    for hour in hours:
        begins = hour.hour.timestamp()
        ends = min(begins + _HOUR, until.timestamp())
        # Of an hour that lies within the life of a token in part, the same part is counted.
        live += hour.issued * max(0.0, ends - max(begins, since)) / max(1.0, ends - begins)
    return round(live)


async def follow_ending(visit: Visit, thing: str, ending: str) -> Redirect:
    """Lead to the page that shows how far what was just ended has come. `thing`: its page."""
    head = await visit.run("revocations.watch", wait=0)
    seq = str(head.cursor).partition("-")[0]
    return Redirect(build_link(f"{thing}/ended", {}, ending=ending, seq=seq))


async def show_ended(
    visit: Visit, place: tuple[str, str], endings: Mapping[str, Ended], load: str
) -> View:
    """Show which followers have applied an ending, until all of them have.

    `place`: address and name of the list that the thing was in. `load`: the operation that shows
    the thing, if it is still there.
    """
    thing_id, (path, list_name) = visit.path["id"], place
    seq, ending = _read_seq(visit), visit.query.get("ending", "")
    # An address that somebody has changed by hand still shows a page.
    ended = endings.get(ending, next(iter(endings.values())))
    try:
        name = (await visit.run(load, id=thing_id)).name
    except NotFoundError:
        name = None

    async def look() -> dict[str, Any]:
        return await _look_at_followers(visit, seq)

    values = await wait_for_news(visit, look)
    may_copy = path == "/keys" and name is not None and visit.may("keys.create")
    return View(
        {
            **values,
            **ended._asdict(),
            "id": thing_id,
            "name": name,
            "seq": seq,
            "list": path,
            "list_name": list_name,
            "like": thing_id if may_copy else None,
            "address": build_link(f"{path}/{thing_id}/ended", {}, ending=ending, seq=str(seq)),
        },
        fragment="endings/progress.html",
    )


def _read_seq(visit: Visit) -> int:
    """Return the place that an address names, 0 for none."""
    text = visit.query.get("seq", "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_SEQ else 0


async def _look_at_followers(visit: Visit, seq: int) -> dict[str, Any]:
    """Return how many followers there are, and those that have not applied `seq` yet."""
    followers = (await visit.run_whole("followers.list")).items
    behind = [follower for follower in followers if follower.applied < seq]
    return {
        "count": len(followers),
        "behind": [
            (
                each.name,
                each.applied,
                write_span(each.lag_seconds),
                "bad" if each.lag_seconds > ALARM_SECONDS else "warn",
                each.seen_at,
            )
            for each in behind
        ],
    }
