"""Capabilities: what tokens may do, which keys hold each, adding and removing them."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.capability import OWN_CAPABILITIES
from tokensvc.operations.operation import ADMINS, KEY_READERS
from tokensvc.web.dashboard.lists import build_page_links, find_named, read_wanted
from tokensvc.web.dashboard.page import Page, Redirect, View, build_form

if TYPE_CHECKING:
    from tokensvc.web.dashboard.page import Visit

_ON_A_PAGE: Final = 100  # rows of one line
_HOLDERS: Final = 8
_USABLE: Final = ("active", "disabled", "expired")  # a key that is revoked holds nothing any more


async def show_capabilities(visit: Visit) -> View | Redirect:
    """Show the capabilities, and how many keys hold each."""
    wanted = read_wanted(visit, ("name",))
    found = await visit.run(
        "capabilities.list",
        limit=_ON_A_PAGE,
        cursor=visit.query.get("cursor"),
        with_use=True,
        **wanted,
    )
    return View(
        {
            "capabilities": found.items,
            "wanted": wanted,
            **build_page_links(visit, "/capabilities", found, wanted),
            "said": visit.query.get("said"),
            "own": OWN_CAPABILITIES,
        },
        fragment="capabilities/rows.html",
    )


async def show_new(visit: Visit) -> View | Redirect:
    """Show the form."""
    del visit
    return View({"idempotency_key": secrets.token_urlsafe(24)})


async def create_capability(visit: Visit) -> View | Redirect:
    """Add a capability."""
    await visit.submit("capabilities.create")
    return Redirect("/capabilities?said=made")


async def show_edit(visit: Visit) -> View | Redirect:
    """Show the form that changes what a capability says it allows."""
    return View({"capability": await visit.run("capabilities.show", name=find_named(visit))})


async def edit_capability(visit: Visit) -> View | Redirect:
    """Change the description of a capability."""
    await visit.submit("capabilities.update")
    return Redirect("/capabilities?said=changed")


async def show_remove(visit: Visit) -> View | Redirect:
    """Say who holds a capability, before it is removed."""
    capability = await visit.run("capabilities.show", name=find_named(visit))
    holders: list[Any] = []
    for state in _USABLE:
        # One more than is shown tells that there are more.
        if len(holders) <= _HOLDERS:
            found = await visit.run(
                "keys.list", capability=capability.name, state=state, limit=_HOLDERS + 1
            )
            holders += found.items
    return View(
        {
            "capability": capability,
            "holders": holders[:_HOLDERS],
            "has_more": len(holders) > _HOLDERS,
            "own": OWN_CAPABILITIES,
        }
    )


async def delete_capability(visit: Visit) -> View | Redirect:
    """Remove a capability that no usable key holds."""
    await visit.submit("capabilities.delete")
    return Redirect("/capabilities?said=removed")


PAGES: Final = (
    Page(
        path="/capabilities",
        act=show_capabilities,
        template="capabilities/list.html",
        needs=KEY_READERS,
    ),
    *build_form(
        "/capabilities/new",
        show=show_new,
        act=create_capability,
        template="capabilities/new.html",
        needs=ADMINS,
    ),
    *build_form(
        "/capabilities/edit",
        show=show_edit,
        act=edit_capability,
        template="capabilities/edit.html",
        needs=ADMINS,
    ),
    *build_form(
        "/capabilities/remove",
        show=show_remove,
        act=delete_capability,
        template="capabilities/remove.html",
        needs=ADMINS,
    ),
)
