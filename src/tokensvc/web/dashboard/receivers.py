"""Who is told of events: receivers on the web, and mailboxes."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from tokensvc.core.notices.event import EVENT_NAMES, EVENTS, may_accounts_know
from tokensvc.operations.operation import KEY_OWNERS, KEY_READERS
from tokensvc.web.dashboard.lists import ON_A_PAGE, build_link, build_page_links, read_wanted
from tokensvc.web.dashboard.naming import find_names, load_accounts, offer_accounts
from tokensvc.web.dashboard.page import Page, Redirect, View, build_form

if TYPE_CHECKING:
    from tokensvc.web.dashboard.page import Form, Visit

_LATEST: Final = 10
_GRACES: Final = (("86400", "24 h"), ("604800", "7 days"), ("0", "Not at all"))


async def show_receivers(visit: Visit) -> View | Redirect:
    """Show a page of the endpoints: all, or those of one account."""
    wanted = read_wanted(visit, ("account",))
    found = await visit.run(
        "notice-endpoints.list", limit=ON_A_PAGE, cursor=visit.query.get("cursor"), **wanted
    )
    shown = [wanted.get("account"), *(each.account for each in found.items)]
    return View(
        {
            "endpoints": found.items,
            "accounts": await load_accounts(visit, shown),
            "account": wanted.get("account"),
            "new": build_link("/notices/new", wanted),
            **build_page_links(visit, "/notices", found, wanted),
            "said": visit.query.get("said"),
        }
    )


async def show_new_receiver(visit: Visit) -> View | Redirect:
    """Show the form of a new endpoint."""
    return View(
        {
            **await offer_accounts(visit),
            "groups": _group_events(of_account=visit.principal.key_owner_of is not None),
            "idempotency_key": secrets.token_urlsafe(24),
        }
    )


async def create_receiver(visit: Visit) -> View | Redirect:
    """Make an endpoint, and show its secret, which stands nowhere else."""
    made = await visit.submit(
        "notice-endpoints.create",
    )
    if made.kind == "mail":
        return Redirect(f"/notices/{made.id}?said=mailbox")
    return View({"endpoint": made}, template="notices/shown_once.html")


async def show_receiver(visit: Visit) -> View | Redirect:
    """Show an endpoint: what it is told of, what became of the latest notices, and its acts."""
    endpoint = await visit.run("notice-endpoints.show", id=visit.path["id"])
    latest = await visit.run("notice-deliveries.list", endpoint=endpoint.id, limit=_LATEST)
    return View(
        {
            "endpoint": endpoint,
            "accounts": await load_accounts(visit, [endpoint.account]),
            "deliveries": latest.items,
            "names": await find_names(visit, [each.subject for each in latest.items]),
            "groups": _group_events(of_account=endpoint.account is not None),
            "graces": _GRACES,
            "said": visit.query.get("said"),
        }
    )


async def edit_receiver(visit: Visit) -> View | Redirect:
    """Change what an endpoint is told of, and where."""
    await visit.submit("notice-endpoints.update", id=visit.path["id"])
    return Redirect(f"/notices/{visit.path['id']}?said=changed")


async def switch_receiver(visit: Visit) -> View | Redirect:
    """Disable an endpoint, or enable it again."""
    is_on = visit.typed.value("enabled") == "on"
    await visit.run("notice-endpoints.update", id=visit.path["id"], enabled=is_on)
    return Redirect(f"/notices/{visit.path['id']}?said={'enabled' if is_on else 'disabled'}")


async def test_destination(visit: Visit) -> View | Redirect:
    """Send a test, or the link that confirms a mailbox."""
    await visit.run("notice-endpoints.test", id=visit.path["id"])
    return Redirect(f"/notices/{visit.path['id']}?said=tested")


async def rotate_secret(visit: Visit) -> View | Redirect:
    """Make a new secret, and show it."""
    made = await visit.submit("notice-endpoints.rotate-secret", id=visit.path["id"])
    return View({"endpoint": made}, template="notices/shown_once.html")


async def show_delete_receiver(visit: Visit) -> View | Redirect:
    """Ask before an endpoint is removed."""
    return View({"endpoint": await visit.run("notice-endpoints.show", id=visit.path["id"])})


async def delete_receiver(visit: Visit) -> View | Redirect:
    """Remove an endpoint."""
    await visit.run("notice-endpoints.delete", id=visit.path["id"])
    return Redirect("/notices?said=deleted")


def _group_events(*, of_account: bool) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return events by what they are about: the name of each, and what has happened, in words."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for name in EVENT_NAMES:
        if not of_account or may_accounts_know(name):
            about = name.partition(".")[0].replace("endpoint", "receiver").replace("_", " ")
            words = EVENTS[name].text.format(subject="it")
            groups.setdefault(about, []).append((name, words[0].upper() + words[1:]))
    return list(groups.items())


def _build_act(path: str, act: Form, *, has_secret: bool = False) -> Page:
    return Page(
        path=f"/notices/{{id}}{path}",
        method="POST",
        act=act,
        again=show_receiver,
        template="notices/one.html",
        needs=KEY_OWNERS,
        has_secret=has_secret,
    )


PAGES: Final = (
    Page(path="/notices", act=show_receivers, template="notices/list.html", needs=KEY_READERS),
    *build_form(
        "/notices/new",
        show=show_new_receiver,
        act=create_receiver,
        template="notices/new.html",
        needs=KEY_OWNERS,
        has_secret=True,
    ),
    Page(path="/notices/{id}", act=show_receiver, template="notices/one.html", needs=KEY_READERS),
    _build_act("/edit", edit_receiver),
    _build_act("/switch", switch_receiver),
    _build_act("/test", test_destination),
    _build_act("/rotate", rotate_secret, has_secret=True),
    *build_form(
        "/notices/{id}/delete",
        show=show_delete_receiver,
        act=delete_receiver,
        template="notices/delete.html",
        needs=KEY_OWNERS,
    ),
)
