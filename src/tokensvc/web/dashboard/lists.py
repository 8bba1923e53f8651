"""What lists have in common: filters, order and place stand in the address, so that it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
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


def keep_address(address: str) -> Callable[[web.Response], None]:
    """Return what tells htmx the address of the list whose rows it gets."""

    def keep(response: web.Response) -> None:
        response.headers["HX-Replace-Url"] = address

    return keep


def find_named(visit: Visit) -> str:
    """Return the thing that an address or a form names: names of some may hold slashes."""
    return visit.typed.form.get("name") or visit.query.get("name", "")
