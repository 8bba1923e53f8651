"""The list of keys, and what is done to many at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.errors import InvalidInputError
from tokensvc.operations.operation import KEY_OWNERS, KEY_READERS
from tokensvc.web.dashboard.charts import SPARK, build_spark, was_limited
from tokensvc.web.dashboard.lists import (
    ON_A_PAGE,
    build_link,
    build_page_links,
    keep_address,
    read_wanted,
)
from tokensvc.web.dashboard.naming import load_accounts
from tokensvc.web.dashboard.page import Page, Redirect, View
from tokensvc.web.dashboard.saved_key_lists import OF_VIEWS, list_views

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokensvc.web.dashboard.page import Visit

_FILTERS: Final[tuple[str, ...]] = (
    "name", "account", "capability", "audience", "state", "created_before", "used_before",
    "expires_before", "never_expires", "replaced", "sort",
)  # fmt: skip
_SORTS: Final = (
    ("-created_at", "Newest first"),
    ("-last_used_at", "Last used first"),
    ("last_used_at", "Longest unused first"),
    ("expires_at", "Expires first"),
    ("-expires_at", "Expires last"),
    ("name", "Name"),
)
_LEAST_SECONDS: Final = 3600  # of use, which is not shown here


async def show_keys(visit: Visit) -> View | Redirect:
    """Show a page of the keys; while somebody types, its rows alone."""
    wanted = read_wanted(visit, _FILTERS)
    if wanted.get("sort") == _SORTS[0][0]:
        del wanted["sort"]
    if visit.wants_fragment and visit.query.get("part") == "views":
        found = await visit.run("overview.show", since=_LEAST_SECONDS)
        views = list_views(wanted, visit.now, found.keys)
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
    if visit.wants_fragment:
        visit.after.append(keep_address(visit.base + build_link("/keys", wanted)))
    sparks, limited = await _draw_sparks(visit, found.items)
    return View(
        {
            "keys": found.items,
            "sparks": sparks,
            "limited": limited,
            "accounts": await load_accounts(
                visit, [wanted.get("account"), *(key.account for key in found.items)]
            ),
            "wanted": wanted,
            "views": list_views(wanted, visit.now, None),
            "count_at": _find_count_address(wanted),
            "counted_at": None,
            "sorts": _SORTS,
            **build_page_links(visit, "/keys", found, wanted),
            **{name: visit.query.get(name) for name in ("said", "done", "refused")},
        },
        fragment="keys/typed.html",
    )


def _find_count_address(wanted: dict[str, str]) -> str | None:
    """Return where the views with their numbers are: those of all keys, if all are listed."""
    if wanted.keys() <= {*OF_VIEWS, "sort"}:
        return build_link("/keys", wanted, part="views")
    return None


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
    found = (await visit.run("usage.list", ids=ids, since=SPARK.seconds)).items
    # A key that was deleted just now is not in the answer.
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
