"""Tiers: named sets of limits, and who has each."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from tokensvc.core.limit import DEFAULT_TIER
from tokensvc.operations.operation import ADMINS, READERS
from tokensvc.web.dashboard.lists import build_page_links, find_named
from tokensvc.web.dashboard.page import Page, Redirect, View, build_form

if TYPE_CHECKING:
    from tokensvc.web.dashboard.page import Visit

_ON_A_PAGE: Final = 100
_PATH: Final = "/accounts/tiers"


async def show_tiers(visit: Visit) -> View | Redirect:
    """Show the tiers, and how many accounts and keys have each."""
    found = await visit.run(
        "tiers.list", limit=_ON_A_PAGE, cursor=visit.query.get("cursor"), with_use=True
    )
    return View(
        {
            "tiers": found.items,
            "default_tier": DEFAULT_TIER,
            **build_page_links(visit, _PATH, found),
            "said": visit.query.get("said"),
        }
    )


async def show_new(visit: Visit) -> View | Redirect:
    """Show the form."""
    del visit
    return View({"tier": None, "idempotency_key": secrets.token_urlsafe(24)})


async def create_tier(visit: Visit) -> View | Redirect:
    """Add a tier."""
    await visit.submit("tiers.create")
    return Redirect(f"{_PATH}?said=made")


async def show_edit(visit: Visit) -> View | Redirect:
    """Show the form that changes a tier, and who it concerns."""
    tier = await visit.run("tiers.show", name=find_named(visit))
    # `name` finds everything that has this in its name, so the one that is meant is picked out.
    named = await visit.run("tiers.list", name=tier.name, with_use=True)
    listed = next((each for each in named.items if each.name == tier.name), None)
    return View({"tier": tier, "listed": listed})


async def edit_tier(visit: Visit) -> View | Redirect:
    """Change a tier."""
    await visit.submit("tiers.update")
    return Redirect(f"{_PATH}?said=changed")


async def delete_tier(visit: Visit) -> View | Redirect:
    """Remove a tier that no account and no key has."""
    await visit.submit("tiers.delete")
    return Redirect(f"{_PATH}?said=removed")


PAGES: Final = (
    Page(path=_PATH, act=show_tiers, template="tiers/list.html", needs=READERS),
    *build_form(
        f"{_PATH}/new", show=show_new, act=create_tier, template="tiers/new.html", needs=ADMINS
    ),
    *build_form(
        f"{_PATH}/edit", show=show_edit, act=edit_tier, template="tiers/edit.html", needs=ADMINS
    ),
    Page(
        path=f"{_PATH}/remove",
        method="POST",
        act=delete_tier,
        again=show_edit,
        template="tiers/edit.html",
        needs=ADMINS,
    ),
)
