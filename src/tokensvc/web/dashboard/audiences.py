"""Audiences: who tokens are for, how long they live and what signs them."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.algorithm import ALGORITHMS
from tokensvc.core.audience import OWN_AUDIENCES, TOKEN_TYPES
from tokensvc.operations.operation import ADMINS, KEY_READERS
from tokensvc.web.app_keys import SERVICE
from tokensvc.web.dashboard.lists import build_page_links, find_named, read_wanted
from tokensvc.web.dashboard.page import Page, Redirect, View, build_form

if TYPE_CHECKING:
    from tokensvc.web.dashboard.page import Visit

_ON_A_PAGE: Final = 100
_MOST_ALIKE: Final = 1000
_ALGORITHM_WORDS: Final = {
    "ES256": "ES256: short and fast to sign, the default",
    "EdDSA": "EdDSA: Ed25519, for verifiers that know it",
    "RS256": "RS256: for verifiers that know nothing else",
}
_TYPE_WORDS: Final = {
    "at+jwt": "at+jwt: an access token, as RFC 9068 wants it, the default",
    "JWT": "JWT: for libraries that refuse at+jwt. Verifiers of tokensvc have to be told so",
}


async def show_audiences(visit: Visit) -> View | Redirect:
    """Show the audiences, and where each is used."""
    wanted = read_wanted(visit, ("name",))
    found = await visit.run(
        "audiences.list",
        limit=_ON_A_PAGE,
        cursor=visit.query.get("cursor"),
        with_use=True,
        **wanted,
    )
    return View(
        {
            "audiences": found.items,
            **_describe_settings(visit),
            "wanted": wanted,
            **build_page_links(visit, "/audiences", found, wanted),
            "said": visit.query.get("said"),
        },
        fragment="audiences/rows.html",
    )


async def show_new(visit: Visit) -> View | Redirect:
    """Show the form."""
    return View(
        {
            "audience": None,
            **_describe_settings(visit),
            "idempotency_key": secrets.token_urlsafe(24),
        }
    )


async def create_audience(visit: Visit) -> View | Redirect:
    """Add an audience."""
    await visit.submit("audiences.create")
    return Redirect("/audiences?said=made")


async def show_edit(visit: Visit) -> View | Redirect:
    """Show the form that changes an audience."""
    audience = await visit.run("audiences.show", name=find_named(visit))
    return View({"audience": audience, **_describe_settings(visit)})


async def edit_audience(visit: Visit) -> View | Redirect:
    """Change an audience."""
    await visit.submit("audiences.update")
    return Redirect("/audiences?said=changed")


async def show_remove(visit: Visit) -> View | Redirect:
    """Say where an audience is used, before it is removed."""
    audience = await visit.run("audiences.show", name=find_named(visit))
    # `name` finds everything that has this in its name, so the one that is meant is picked out.
    alike = await visit.run("audiences.list", name=audience.name, with_use=True, limit=_MOST_ALIKE)
    listed = next((each for each in alike.items if each.name == audience.name), None)
    return View({"audience": audience, **_describe_settings(visit), "listed": listed})


async def delete_audience(visit: Visit) -> View | Redirect:
    """Remove an audience."""
    await visit.submit("audiences.delete")
    return Redirect("/audiences?said=removed")


def _describe_settings(visit: Visit) -> dict[str, Any]:
    """Return what the settings say of all audiences."""
    settings = visit.request.app[SERVICE].settings
    return {
        "default_audience": settings.default_audience,
        "default_life": settings.token_ttl,
        "longest_life": settings.max_token_ttl,
        "own_audiences": OWN_AUDIENCES,
        "algorithms": [(alg, _ALGORITHM_WORDS.get(alg, alg)) for alg in ALGORITHMS],
        "types": [(typ, _TYPE_WORDS[typ]) for typ in TOKEN_TYPES],
    }


PAGES: Final = (
    Page(path="/audiences", act=show_audiences, template="audiences/list.html", needs=KEY_READERS),
    *build_form(
        "/audiences/new",
        show=show_new,
        act=create_audience,
        template="audiences/new.html",
        needs=ADMINS,
    ),
    *build_form(
        "/audiences/edit",
        show=show_edit,
        act=edit_audience,
        template="audiences/edit.html",
        needs=ADMINS,
    ),
    *build_form(
        "/audiences/remove",
        show=show_remove,
        act=delete_audience,
        template="audiences/remove.html",
        needs=ADMINS,
    ),
)
