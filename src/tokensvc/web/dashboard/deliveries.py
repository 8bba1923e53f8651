"""What was sent to receivers and mailboxes, and the events behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokensvc.core.notices.event import EVENT_NAMES
from tokensvc.operations.operation import KEY_OWNERS, KEY_READERS
from tokensvc.web.dashboard.lists import ON_A_PAGE, build_link, build_page_links, read_wanted
from tokensvc.web.dashboard.naming import find_names
from tokensvc.web.dashboard.page import Page, Redirect, View

if TYPE_CHECKING:
    from tokensvc.web.dashboard.page import Visit

_FILTERS: Final = ("state", "event", "endpoint", "account")
_VIEWS: Final = (
    ("", "Any state"),
    ("waiting", "Waiting"),
    ("delivered", "Delivered"),
    ("failed", "Failed"),
)
_EVENTS: Final = [("", "Any event"), *((name, name) for name in EVENT_NAMES)]


async def show_deliveries(visit: Visit) -> View | Redirect:
    """Show a page of the deliveries, newest first."""
    wanted = read_wanted(visit, _FILTERS)
    place = "/notices/deliveries"
    found = await visit.run(
        "notice-deliveries.list", limit=ON_A_PAGE, cursor=visit.query.get("cursor"), **wanted
    )
    return View(
        {
            "deliveries": found.items,
            "names": await find_names(
                visit, [i for d in found.items for i in (d.subject, d.endpoint)]
            ),
            "wanted": wanted,
            "views": [
                (label, build_link(place, wanted, state=each), each) for each, label in _VIEWS
            ],
            "events": _EVENTS,
            **build_page_links(visit, place, found, wanted),
            "said": visit.query.get("said"),
        }
    )


async def redeliver(visit: Visit) -> View | Redirect:
    """Send a notice once more."""
    repeated = await visit.run("notice-deliveries.redeliver", id=visit.path["id"])
    return Redirect(f"/notices/deliveries?endpoint={repeated.endpoint}&said=again")


async def show_events(visit: Visit) -> View | Redirect:
    """Show a page of the events of the last 30 days, whether anybody was told or not."""
    wanted = read_wanted(visit, ("event", "subject"))
    place = "/notices/events"
    found = await visit.run(
        "notices.list", limit=ON_A_PAGE, cursor=visit.query.get("cursor"), **wanted
    )
    return View(
        {
            "notices": found.items,
            "names": await find_names(
                visit,
                [
                    each
                    for notice in found.items
                    for each in (notice.subject, notice.account, *notice.detail.values())
                    if isinstance(each, str)
                ],
            ),
            "wanted": wanted,
            "events": _EVENTS,
            **build_page_links(visit, place, found, wanted),
        }
    )


_LIST: Final = "notices/deliveries.html"
PAGES: Final = (
    Page(path="/notices/deliveries", act=show_deliveries, template=_LIST, needs=KEY_READERS),
    Page(
        path="/notices/deliveries/{id}/redeliver",
        method="POST",
        act=redeliver,
        again=show_deliveries,
        template=_LIST,
        needs=KEY_OWNERS,
    ),
    Page(
        path="/notices/events",
        act=show_events,
        template="notices/events.html",
        needs=KEY_READERS,
    ),
)
