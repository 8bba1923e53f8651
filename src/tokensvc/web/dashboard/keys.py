"""The list of keys, and what is done to many at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.errors import InvalidInputError
from tokensvc.operations.operation import KEY_OWNERS, KEY_READERS
from tokensvc.web.dashboard.charts import build_spark
from tokensvc.web.dashboard.lists import ON_A_PAGE, build_link, read_wanted
from tokensvc.web.dashboard.page import Page, Redirect, View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokensvc.web.dashboard.page import Visit

_FILTERS: Final[tuple[str, ...]] = (
    "name", "account", "capability", "audience", "state", "used_before", "expires_before", "sort",
)  # fmt: skip
_SORTS: Final = (
    ("-created_at", "Newest first"),
    ("-last_used_at", "Last used first"),
    ("last_used_at", "Longest unused first"),
    ("expires_at", "Expires first"),
    ("-expires_at", "Expires last"),
    ("name", "Name"),
)
_VIEWS: Final = (
    ("", "All"),
    ("active", "Active"),
    ("disabled", "Disabled"),
    ("expired", "Expired"),
    ("revoked", "Revoked"),
)
_SPARK_SECONDS: Final = 37 * 3600
_AT_ONCE: Final = 4  # of the connections of the service
_MOST_ACCOUNTS: Final = 200


async def show_keys(visit: Visit) -> View | Redirect:
    """Show a page of the keys."""
    wanted = read_wanted(visit, _FILTERS)
    found = await visit.run(
        "keys.list",
        limit=ON_A_PAGE,
        cursor=visit.query.get("cursor"),
        **{"sort": _SORTS[0][0], **wanted},
    )
    accounts = await visit.run("accounts.list", limit=_MOST_ACCOUNTS, sort="name")
    following = found.next_cursor and build_link("/keys", wanted, cursor=found.next_cursor)
    return View(
        {
            "keys": found.items,
            "sparks": await _draw_sparks(visit, found.items),
            "accounts": {account.id: account.name for account in accounts.items},
            "wanted": wanted,
            "views": [
                (label, build_link("/keys", wanted, state=value), value) for value, label in _VIEWS
            ],
            "sorts": _SORTS,
            "next": following,
            "first": build_link("/keys", wanted) if "cursor" in visit.query else None,
            "done": visit.query.get("done"),
            "refused": visit.query.get("refused"),
        },
        fragment="keys/rows.html",
    )


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


async def _draw_sparks(visit: Visit, keys: Sequence[Any]) -> dict[str, Any]:
    """Return the bars of the last 36 hours of each key that was used in that time."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def draw(key: Any) -> tuple[str, Any]:  # noqa: ANN401 - a model of the operations
        async with turns:
            usage = await visit.run("usage.show", key=key.id, since=_SPARK_SECONDS)
        return key.id, build_spark(usage.hours, usage.until)

    return dict(await asyncio.gather(*(draw(key) for key in keys)))


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
