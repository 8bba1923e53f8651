"""What lists have in common: filters, order and place stand in an address that can be sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from aiohttp import web

    from tokensvc.web.dashboard.page import Visit

ON_A_PAGE: Final = 25


def read_wanted(visit: Visit, names: Iterable[str]) -> dict[str, str]:
    """Return those filters that stand in the address."""
    return {name: visit.query[name] for name in names if name in visit.query}


def build_link(path: str, wanted: Mapping[str, str], **more: str | None) -> str:
    """Return the address of a list below the dashboard, with what is empty left out."""
    query = urlencode({name: value for name, value in {**wanted, **more}.items() if value})
    return path + (f"?{query}" if query else "")


def build_page_links(
    visit: Visit,
    path: str,
    found: Any,  # noqa: ANN401 - a page of a list of the operations
    wanted: Mapping[str, str] | None = None,
) -> dict[str, str | None]:
    """Return the addresses of the next page of a list and of its first, None where there is none.

    `wanted`: the filters of the list.
    """
    following = found.next_cursor and build_link(path, wanted or {}, cursor=found.next_cursor)
    first = build_link(path, wanted or {}) if "cursor" in visit.query else None
    return {"next": following, "first": first}


def keep_address(address: str) -> Callable[[web.Response], None]:
    """Return what tells htmx the address of the list whose rows it gets."""

    def keep(response: web.Response) -> None:
        response.headers["HX-Replace-Url"] = address

    return keep


def find_named(visit: Visit) -> str:
    """Return the thing that an address or a form names: names of some may hold slashes."""
    return visit.typed.form.get("name") or visit.query.get("name", "")
