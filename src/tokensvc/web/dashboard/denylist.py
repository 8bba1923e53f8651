"""The denylist: what is revoked, and what each follower has applied of it, live."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tokensvc.core.errors import InvalidInputError
from tokensvc.operations.operation import ADMINS, READERS
from tokensvc.web.dashboard.lists import ON_A_PAGE, build_link, build_page_links, read_wanted
from tokensvc.web.dashboard.live import wait_for_news
from tokensvc.web.dashboard.moments import write_span
from tokensvc.web.dashboard.naming import find_names
from tokensvc.web.dashboard.page import Page, Redirect, View, build_form

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokensvc.web.dashboard.page import Visit

_KINDS: Final = (
    ("", "Everything"),
    ("jti", "Tokens"),
    ("key", "Keys"),
    ("account", "Accounts"),
    ("kid", "Signing keys"),
)
_CHOICES: Final = (
    ("key", "All tokens of a key so far"),
    ("account", "All tokens of an account so far"),
    ("jti", "One token, by its id (jti)"),
    ("token", "One token, the whole of it"),
)
ALARM_SECONDS: Final = 10.0  # a follower that is further behind needs a look
_MOST_SHOWN: Final = 10
_MOST_DOTS: Final = 200
_JUST_NOW: Final = 40  # a follower that runs asks every 30 s, so only a longer silence is shown
_TEN_SECONDS: Final = 10
_LAG_WIDTH: Final = 72


class FollowerRow(NamedTuple):
    """A follower as it is shown. What changes all the time is rounded: see `live`."""

    name: str
    key_id: str
    applied: int
    lag: str
    width: int
    seen: str
    kind: str
    word: str


async def show_denylist(visit: Visit) -> View | Redirect:
    """Show followers and entries; a held request gets the followers alone, when they change."""
    live = await _wait_for_followers(visit)
    followers = [row.key_id for row in live["followers"] if row.key_id]
    if visit.wants_fragment:
        names = await find_names(visit, followers)
        return View({**live, "names": names}, fragment="denylist/live.html")
    wanted = read_wanted(visit, ("kind", "value"))
    found = await visit.run(
        "revocations.list",
        limit=ON_A_PAGE,
        cursor=visit.query.get("cursor"),
        sort="-seq",
        **wanted,
    )
    return View(
        {
            **live,
            "entries": [(entry, _read_second(entry.expires)) for entry in found.items],
            "names": await find_names(
                visit, [*followers, *(i for e in found.items for i in (e.value, e.made_by))]
            ),
            "wanted": wanted,
            "kinds": [
                (label, build_link("/denylist", {**wanted, "kind": kind}), kind)
                for kind, label in _KINDS
            ],
            **build_page_links(visit, "/denylist", found, wanted),
            "said": visit.query.get("said"),
        }
    )


async def show_revoke(visit: Visit) -> View | Redirect:
    """Ask what to revoke, and why."""
    what = visit.typed.value("what") or visit.query.get("what", "key")
    return View({"choices": _CHOICES, "what": what, "value": visit.query.get("value", "")})


async def revoke(visit: Visit) -> View | Redirect:
    """Revoke a token, or the tokens of a key or an account."""
    what, value = visit.typed.value("what"), visit.typed.value("value").strip()
    if what not in dict(_CHOICES):
        raise InvalidInputError("choose what to revoke", pointer="/what")
    if not value:
        raise InvalidInputError("say which one", pointer="/value")
    made = await visit.run(
        "revocations.create", reason=visit.typed.value("reason").strip(), **{what: value}
    )
    return Redirect(f"/denylist?said={made.seq}")


async def _wait_for_followers(visit: Visit) -> dict[str, Any]:
    shows_all = visit.query.get("followers") == "all"
    shows_late = visit.query.get("followers") == "behind"
    began_on = time.monotonic()
    counted: dict[str, Any] = {}

    async def look() -> dict[str, Any]:
        cursor = (await visit.run("revocations.watch", wait=0)).cursor
        # Counting is dear, and without a new revocation the counts are the same.
        if counted.get("cursor") != cursor:
            counted.update(cursor=cursor, counts=await visit.run("revocations.count"))
        known = await visit.run_whole("followers.list")
        now = visit.now.timestamp() + time.monotonic() - began_on
        ordered = sorted(known.items, key=lambda each: (-each.lag_seconds, each.name))
        rows = [_build_row(each, now) for each in ordered]
        late = [row for row in rows if row.kind != "ok"]
        shown = late if shows_late else rows
        return {
            "seq": counted["counts"].seq,
            "tag": cursor.partition("-")[2][:6],
            "counts": counted["counts"],
            "dots": [row.kind for row in rows[:_MOST_DOTS]],
            "sums": _count_kinds(rows),
            "followers": shown if shows_all else shown[:_MOST_SHOWN],
            "left_out": 0 if shows_all else max(0, len(shown) - _MOST_SHOWN),
            "unlisted": known.unproved - sum(not each.authenticated for each in known.items),
            "slowest": rows[0].lag if rows else "",
        }

    values = await wait_for_news(visit, look)
    return {**values, "choice": visit.query.get("followers", ""), "alarm": int(ALARM_SECONDS)}


def _build_row(follower: Any, now: float) -> FollowerRow:  # noqa: ANN401 - a model
    away = now - follower.seen_at.timestamp()
    lag = follower.lag_seconds
    kind, word = _judge(follower)
    # The name of a follower that proves who it is begins with the id of its key.
    # No name holds a NUL, so the name of any other follower stays whole.
    key_id, _, name = follower.name.rpartition("/" if follower.authenticated else "\0")
    share = min(lag / ALARM_SECONDS, 1.0)
    return FollowerRow(
        name=name,
        key_id=key_id,
        applied=follower.applied,
        lag=write_span(lag),
        width=max(4, round(share * _LAG_WIDTH)),
        seen=(
            "now" if away < _JUST_NOW else f"{write_span(away // _TEN_SECONDS * _TEN_SECONDS)} ago"
        ),
        kind=kind,
        word=word,
    )


def _judge(follower: Any) -> tuple[str, str]:  # noqa: ANN401 - a model of the operations
    """Return kind and word of the state of a follower."""
    if follower.state == "silent":
        return ("bad", "Stale") if follower.lag_seconds > 0 else ("off", "Stale")
    if follower.state == "current":
        return "ok", "In step"
    if follower.lag_seconds > ALARM_SECONDS:
        return "bad", "Behind"
    return "warn", "Catching up"


def _count_kinds(rows: Sequence[FollowerRow]) -> dict[str, int]:
    """Return how many followers there are of each kind of state."""
    return {
        "all": len(rows),
        "ok": sum(row.kind == "ok" for row in rows),
        "warn": sum(row.kind == "warn" for row in rows),
        "bad": sum(row.kind == "bad" for row in rows),
        "off": sum(row.kind == "off" for row in rows),
    }


def _read_second(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


PAGES: Final = (
    Page(path="/denylist", act=show_denylist, template="denylist/page.html", needs=READERS),
    *build_form(
        "/denylist/revoke",
        show=show_revoke,
        act=revoke,
        template="denylist/revoke.html",
        needs=ADMINS,
    ),
)
