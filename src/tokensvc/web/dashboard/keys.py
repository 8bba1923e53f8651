"""The list of keys, and what is done to many at once."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.errors import InvalidInputError
from tokensvc.operations.operation import KEY_OWNERS, KEY_READERS
from tokensvc.web.dashboard.charts import build_spark, was_limited
from tokensvc.web.dashboard.lists import ON_A_PAGE, build_link, keep_address, read_wanted
from tokensvc.web.dashboard.page import Page, Redirect, View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokensvc.operations.overview import KeyCounts
    from tokensvc.web.dashboard.page import Visit

    _View = tuple[str, str, bool, int | None]

_FILTERS: Final[tuple[str, ...]] = (
    "name", "account", "capability", "audience", "state", "created_before", "used_before",
    "expires_before", "sort",
)  # fmt: skip
_SORTS: Final = (
    ("-created_at", "Newest first"),
    ("-last_used_at", "Last used first"),
    ("last_used_at", "Longest unused first"),
    ("expires_at", "Expires first"),
    ("-expires_at", "Expires last"),
    ("name", "Name"),
)
# Of a view: what people read, its filters, and what an overview counts of it. "soon" and "idle"
# stand for moments, whose days are written into the address.
_VIEWS: Final[tuple[tuple[str, dict[str, str], str], ...]] = (
    ("All", {}, "total"),
    ("Active", {"state": "active"}, "active"),
    ("Expire soon", {"state": "active", "expires_before": "soon"}, "expiring"),
    ("Idle", {"state": "active", "created_before": "idle", "used_before": "idle"}, "idle"),
    ("Disabled", {"state": "disabled"}, "disabled"),
    ("Expired", {"state": "expired"}, "expired"),
    ("Revoked", {"state": "revoked"}, "revoked"),
)
_OF_VIEWS: Final = ("state", "created_before", "used_before", "expires_before")
_SOON_DAYS: Final = 30
_IDLE_DAYS: Final = 90
_LEAST_SECONDS: Final = 3600  # of use, which is not shown here
_SPARK_SECONDS: Final = 37 * 3600
_MOST_ACCOUNTS: Final = 200


async def show_keys(visit: Visit) -> View | Redirect:
    """Show a page of the keys; while somebody types, its rows alone."""
    wanted = read_wanted(visit, _FILTERS)
    if wanted.get("sort") == _SORTS[0][0]:
        del wanted["sort"]
    if visit.wants_fragment and visit.query.get("part") == "views":
        found = await visit.run("overview.show", since=_LEAST_SECONDS)
        views = _build_views(visit, wanted, found.keys)
        return View(
            {"views": views, "count_at": None, "counted_at": found.keys_counted_at},
            fragment="keys/views.html",
        )
    found = await visit.run(
        "keys.list",
        limit=ON_A_PAGE,
        cursor=visit.query.get("cursor"),
        **{"sort": _SORTS[0][0], **wanted},
    )
    accounts = await visit.run("accounts.list", limit=_MOST_ACCOUNTS, sort="name")
    if visit.wants_fragment:
        visit.after.append(keep_address(visit.base + build_link("/keys", wanted)))
    sparks, limited = await _draw_sparks(visit, found.items)
    return View(
        {
            "keys": found.items,
            "sparks": sparks,
            "limited": limited,
            "accounts": {account.id: account.name for account in accounts.items},
            "wanted": wanted,
            "views": _build_views(visit, wanted, None),
            "count_at": _find_count_address(wanted),
            "counted_at": None,
            "sorts": _SORTS,
            "next": found.next_cursor and build_link("/keys", wanted, cursor=found.next_cursor),
            "first": build_link("/keys", wanted) if "cursor" in visit.query else None,
            "done": visit.query.get("done"),
            "refused": visit.query.get("refused"),
        },
        fragment="keys/typed.html",
    )


def _find_count_address(wanted: dict[str, str]) -> str | None:
    """Return where the views with their numbers are: those of all keys, if all are listed."""
    if wanted.keys() <= {*_OF_VIEWS, "sort"}:
        return build_link("/keys", wanted, part="views")
    return None


def _build_views(visit: Visit, wanted: dict[str, str], counts: KeyCounts | None) -> list[_View]:
    """Return of each view: its name, its address, whether it is shown, and how many keys it has."""
    moments = {
        "soon": visit.now + timedelta(days=_SOON_DAYS),
        "idle": visit.now - timedelta(days=_IDLE_DAYS),
    }
    others = {name: text for name, text in wanted.items() if name not in _OF_VIEWS}
    shown = {name for name in _OF_VIEWS if name in wanted}
    views = []
    for label, filters, count in _VIEWS:
        dated = {
            name: f"{moments[text]:%Y-%m-%dT%H:%M:%SZ}" if text in moments else text
            for name, text in filters.items()
        }
        is_shown = shown == filters.keys() and wanted.get("state") == filters.get("state")
        number = None if counts is None else getattr(counts, count)
        views.append((label, build_link("/keys", others, **dated), is_shown, number))
    return views


async def show_many(visit: Visit) -> View | Redirect:
    """Ask before many keys are disabled or revoked."""
    ids = visit.typed.form.getall("key", [])
    if not ids:
        return Redirect("/keys")
    act = "revoke" if visit.typed.value("do") == "revoke" else "disable"
    keys = [await visit.run("keys.show", id=key_id) for key_id in ids[:ON_A_PAGE]]
    return View({"keys": keys, "act": act})


async def end_many(visit: Visit) -> View | Redirect:
    """Disable or revoke the keys that were ticked, and say how many were."""
    ids = visit.typed.form.getall("key", [])
    act = visit.typed.value("do")
    if act not in {"disable", "revoke"} or not ids:
        raise InvalidInputError("tick some keys, and say what to do with them")
    result = await visit.submit(
        "keys.batch",
        without=("items",),
        act=act,
        items=[{"id": key_id} for key_id in ids],
        reason=visit.typed.value("reason"),
    )
    done = sum(outcome.done for outcome in result.items)
    return Redirect(f"/keys?done={done}&refused={len(result.items) - done}")


async def _draw_sparks(visit: Visit, keys: Sequence[Any]) -> tuple[dict[str, Any], set[str]]:
    """Return the bars of the last 36 hours of each key, and which were over a limit just now."""
    if not keys:
        return {}, set()
    ids = ",".join(key.id for key in keys)
    found = (await visit.run("usage.list", ids=ids, since=_SPARK_SECONDS)).items
    hours = {key.id: [] for key in keys} | {usage.id: usage.hours for usage in found}
    return (
        {key_id: build_spark(used, visit.now) for key_id, used in hours.items()},
        {key_id for key_id, used in hours.items() if was_limited(used, visit.now)},
    )


PAGES: Final = (
    Page(path="/keys", act=show_keys, template="keys/list.html", needs=KEY_READERS),
    Page(
        path="/keys/many",
        method="POST",
        act=show_many,
        template="keys/many.html",
        needs=KEY_OWNERS,
    ),
    Page(
        path="/keys/many/end",
        method="POST",
        act=end_many,
        again=show_many,
        template="keys/many.html",
        needs=KEY_OWNERS,
    ),
)
