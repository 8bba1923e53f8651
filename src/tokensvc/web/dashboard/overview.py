"""The overview: what is going on, and what needs a look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokensvc.operations.operation import KEY_READERS
from tokensvc.web.dashboard.page import Page, Redirect, View

if TYPE_CHECKING:
    from tokensvc.web.dashboard.page import Visit

_LAST_CHANGES: Final = 6


async def show_overview(visit: Visit) -> View | Redirect:
    """Show the overview; a new service shows the way to the first token."""
    events = []
    if visit.may("audit-events.list"):
        events = (await visit.run("audit-events.list", limit=_LAST_CHANGES)).items
    return View({"events": events})


PAGES: Final = (
    Page(path="/", act=show_overview, template="overview/page.html", needs=KEY_READERS),
)
