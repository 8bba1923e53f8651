"""The list of keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokensvc.operations.operation import KEY_READERS
from tokensvc.web.dashboard.lists import ON_A_PAGE, build_link, read_wanted
from tokensvc.web.dashboard.page import Page, Redirect, View

if TYPE_CHECKING:
    from tokensvc.web.dashboard.page import Visit

_FILTERS: Final[tuple[str, ...]] = ("name", "account", "capability", "state", "sort")
_SORTS: Final = (
    ("-created_at", "Newest first"),
    ("-last_used_at", "Last used first"),
    ("expires_at", "Expires first"),
    ("name", "Name"),
)
_VIEWS: Final = (
    ("", "All"),
    ("active", "Active"),
    ("disabled", "Disabled"),
    ("expired", "Expired"),
    ("revoked", "Revoked"),
)


async def show_keys(visit: Visit) -> View | Redirect:
    """Show a page of the keys."""
    wanted = read_wanted(visit, _FILTERS)
    found = await visit.run(
        "keys.list",
        limit=ON_A_PAGE,
        cursor=visit.query.get("cursor"),
        **{"sort": _SORTS[0][0], **wanted},
    )
    return View(
        {
            "keys": found.items,
            "wanted": wanted,
            "views": [
                (label, build_link("/keys", wanted, state=value), value) for value, label in _VIEWS
            ],
            "sorts": _SORTS,
            "next": found.next_cursor and build_link("/keys", wanted, cursor=found.next_cursor),
            "first": build_link("/keys", wanted) if "cursor" in visit.query else None,
        },
        fragment="keys/rows.html",
    )


PAGES: Final = (Page(path="/keys", act=show_keys, template="keys/list.html", needs=KEY_READERS),)
