"""Accounts: the list, and one account with its keys, its use and its limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tokensvc.operations.operation import KEY_OWNERS, KEY_READERS
from tokensvc.web.dashboard.charts import OF_MANY, build_outcomes, find_range, list_windows
from tokensvc.web.dashboard.lists import ON_A_PAGE, build_link, build_page_links, read_wanted
from tokensvc.web.dashboard.naming import find_names
from tokensvc.web.dashboard.page import Page, Redirect, View

if TYPE_CHECKING:
    from tokensvc.web.dashboard.page import Visit

_FILTERS: Final[tuple[str, ...]] = ("name", "state", "sort")
_SORTS: Final = (
    ("-created_at", "Newest first"),
    ("created_at", "Oldest first"),
    ("name", "Name"),
    ("-name", "Name, from Z"),
)
_VIEWS: Final = (("", "All"), ("active", "Active"), ("suspended", "Suspended"))
_KEYS: Final = 10
_EVENTS: Final = 8
_RECEIVERS: Final = 10


async def show_accounts(visit: Visit) -> View | Redirect:
    """Show a page of the accounts."""
    wanted = read_wanted(visit, _FILTERS)
    found = await visit.run(
        "accounts.list",
        limit=ON_A_PAGE,
        cursor=visit.query.get("cursor"),
        **{"sort": _SORTS[0][0], **wanted},
    )
    return View(
        {
            "accounts": found.items,
            "wanted": wanted,
            "views": [
                (label, build_link("/accounts", wanted, state=value), value)
                for value, label in _VIEWS
            ],
            "sorts": _SORTS,
            **build_page_links(visit, "/accounts", found, wanted),
            "deleted": visit.query.get("said") == "deleted",
        },
        fragment="accounts/rows.html",
    )


async def show_account(visit: Visit) -> View | Redirect:
    """Show an account: its use against its limits, its keys, its facts, its history."""
    account = await visit.run("accounts.show", id=visit.path["id"])
    shown = find_range(visit.query.get("range"), OF_MANY)
    usage = await visit.run("accounts.show-usage", id=account.id, since=shown.seconds)
    keys = await visit.run("keys.list", account=account.id, limit=_KEYS, sort="-created_at")
    told = await visit.run("notice-endpoints.list", account=account.id, limit=_RECEIVERS)
    events: list[Any] = []
    if visit.may("audit-events.list"):
        found = await visit.run("audit-events.list", subject=account.id, limit=_EVENTS)
        events = found.items
    return View(
        {
            "account": account,
            "usage": usage,
            "windows": list_windows(usage.minute, usage.day),
            "outcomes": build_outcomes(usage.hours, usage.until, shown),
            "ranges": OF_MANY,
            "range": shown,
            "keys": keys.items,
            "receivers": told.items,
            "events": events,
            "names": await find_names(visit, [each.actor for each in events]),
            "said": visit.query.get("said"),
        }
    )


async def set_contact(visit: Visit) -> View | Redirect:
    """Change who is told by mail of what happens to an account; nobody if nothing is typed."""
    changed = await visit.submit("accounts.set-contact", id=visit.path["id"])
    said = "contact" if changed.contact is None or changed.contact_confirmed_at else "link"
    return Redirect(f"/accounts/{changed.id}?said={said}")


async def send_link(visit: Visit) -> View | Redirect:
    """Send once more the link that confirms the contact."""
    account = await visit.run("accounts.show", id=visit.path["id"])
    if account.contact_endpoint is not None and account.contact_confirmed_at is None:
        await visit.submit("notice-endpoints.test", id=account.contact_endpoint)
    return Redirect(f"/accounts/{account.id}?said=link")


PAGES: Final = (
    Page(path="/accounts", act=show_accounts, template="accounts/list.html", needs=KEY_READERS),
    Page(path="/accounts/{id}", act=show_account, template="accounts/one.html", needs=KEY_READERS),
    Page(
        path="/accounts/{id}/contact",
        method="POST",
        act=set_contact,
        again=show_account,
        template="accounts/one.html",
        needs=KEY_OWNERS,
    ),
    Page(
        path="/accounts/{id}/contact/link",
        method="POST",
        act=send_link,
        again=show_account,
        template="accounts/one.html",
        needs=KEY_OWNERS,
    ),
)
