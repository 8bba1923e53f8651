"""Lists of keys that have a name: a state, or what is worth a look.

An overview counts each of them. What it counts and what the list shows is the same, because the
link is made from the same row.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from tokensvc.core.capability import ADMIN
from tokensvc.web.dashboard.lists import build_link

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from tokensvc.operations.overview import KeyCounts


class KeyView(NamedTuple):
    """A list. `counted_as`: what an overview calls the number of its keys.

    `filters`: of `keys.list`; a timedelta stands for the moment that far from now.
    """

    label: str
    counted_as: str
    filters: Mapping[str, str | timedelta]

    def build_filters(self, now: datetime) -> dict[str, str]:
        """Return the filters as an address has them."""
        return {
            name: f"{now + text:%Y-%m-%dT%H:%M:%SZ}" if isinstance(text, timedelta) else text
            for name, text in self.filters.items()
        }

    def is_shown(self, wanted: Mapping[str, str]) -> bool:
        """Tell whether exactly the filters of this view are set, whatever their moments."""
        texts = {name: text for name, text in self.filters.items() if isinstance(text, str)}
        names = {name for name in wanted if name in OF_VIEWS}
        return names == self.filters.keys() and texts.items() <= wanted.items()


_ACTIVE: Final = {"state": "active"}
_IDLE: Final = timedelta(days=-90)
_STATES: Final = (
    KeyView("All", "total", {}),
    KeyView("Active", "active", _ACTIVE),
    KeyView("Expire soon", "expiring", {**_ACTIVE, "expires_before": timedelta(days=30)}),
    KeyView("Idle", "idle", {**_ACTIVE, "created_before": _IDLE, "used_before": _IDLE}),
    KeyView("Disabled", "disabled", {"state": "disabled"}),
    KeyView("Expired", "expired", {"state": "expired"}),
    KeyView("Revoked", "revoked", {"state": "revoked"}),
)
# They are named among the others only while they are shown.
_RISKS: Final = (
    KeyView("Never expire", "endless", {**_ACTIVE, "never_expires": "true"}),
    KeyView(
        "Safe to remove",
        "replaced",
        {**_ACTIVE, "replaced": "true", "used_before": timedelta(days=-1)},
    ),
)
# Only links lead to this one: a capability is a filter of its own, which goes with any view.
_POWERFUL: Final = KeyView("Hold everything", "powerful", {**_ACTIVE, "capability": ADMIN})
OF_VIEWS: Final = frozenset(name for view in (*_STATES, *_RISKS) for name in view.filters)


class ViewLink(NamedTuple):
    """A view as a page names it. `number`: of its keys, None if it was not counted."""

    label: str
    address: str
    is_shown: bool
    number: int | None


def list_views(
    wanted: Mapping[str, str], now: datetime, counts: KeyCounts | None
) -> list[ViewLink]:
    """Return the views as the list of keys names them. `wanted`: the filters of that list."""
    # Filters that belong to no view stay, whichever view is chosen next.
    others = {name: text for name, text in wanted.items() if name not in OF_VIEWS}
    return [
        ViewLink(
            view.label,
            build_link("/keys", others, **view.build_filters(now)),
            view.is_shown(wanted),
            None if counts is None else getattr(counts, view.counted_as),
        )
        for view in (*_STATES, *_RISKS)
        if view in _STATES or view.is_shown(wanted)
    ]


def build_view_link(counted_as: str, now: datetime) -> str:
    """Return the address of the list whose keys an overview counts under this name."""
    view = next(view for view in (*_STATES, *_RISKS, _POWERFUL) if view.counted_as == counted_as)
    return build_link("/keys", view.build_filters(now))
