"""One key: what is known of it, and changing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tokensvc.operations.operation import KEY_OWNERS, KEY_READERS
from tokensvc.web.dashboard.charts import (
    OF_KEYS,
    build_outcomes,
    find_range,
    list_windows,
    was_limited,
)
from tokensvc.web.dashboard.naming import find_names
from tokensvc.web.dashboard.new_key import describe_life, load_choices, read_life
from tokensvc.web.dashboard.page import Page, Redirect, View, build_form

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokensvc.web.dashboard.page import Visit

_EVENTS: Final = 8
# What only an admin may change: the operation refuses it from others.
_OF_ADMINS: Final = ("tier", "claims")


async def show_key(visit: Visit) -> View | Redirect:
    """Show a key: its use, its facts, its history."""
    key = await visit.run("keys.show", id=visit.path["id"])
    shown = find_range(visit.query.get("range"), OF_KEYS)
    usage = await visit.run("usage.show", key=key.id, since=shown.seconds)
    events: list[Any] = []
    if visit.may("audit-events.list"):
        wanted = await visit.run("audit-events.list", subject=key.id, limit=_EVENTS)
        events = wanted.items
    maker = await _find_maker(visit, key.id, events)
    return View(
        {
            "key": key,
            "leaks": await visit.run("leaks.list", key=key.id),
            "account": await visit.run("accounts.show", id=key.account),
            "is_limited": was_limited(usage.hours, usage.until),
            "outcomes": build_outcomes(usage.hours, usage.until, shown),
            "windows": list_windows(usage.minute, usage.day),
            "ranges": OF_KEYS,
            "range": shown,
            "events": events,
            "maker": maker,
            "names": await find_names(
                visit,
                [key.predecessor, key.successor, maker, *(each.actor for each in events)],
            ),
            "said": visit.query.get("said"),
        }
    )


async def show_edit(visit: Visit) -> View | Redirect:
    """Show the form that changes a key."""
    key = await visit.run("keys.show", id=visit.path["id"])
    choices = await load_choices(visit, key)
    return View({**choices, **describe_life(visit), "key": key, "address": None})


async def edit_key(visit: Visit) -> View | Redirect:
    """Change a key."""
    key_id = visit.path["id"]
    without = () if visit.principal.is_admin else _OF_ADMINS
    if visit.typed.value("expires_in") == "keep":
        without = (*without, "expires_in")
    await visit.submit("keys.update", id=key_id, without=without, **read_life(visit))
    return Redirect(f"/keys/{key_id}?said=changed")


async def _find_maker(visit: Visit, key_id: str, events: Sequence[Any]) -> str | None:
    """Return who has made a key; None if the trail does not tell, or the visitor may not read it.

    `events`: the newest of the key.
    """
    if len(events) == _EVENTS:  # older ones may exist
        found = await visit.run(
            "audit-events.list", subject=key_id, operation="keys.create", sort="number", limit=1
        )
        events = found.items
    return next((event.actor for event in events if event.operation == "keys.create"), None)


PAGES: Final = (
    Page(path="/keys/{id}", act=show_key, template="keys/one.html", needs=KEY_READERS),
    *build_form(
        "/keys/{id}/edit", show=show_edit, act=edit_key, template="keys/edit.html", needs=KEY_OWNERS
    ),
)
