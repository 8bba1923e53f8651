"""The audit trail: who changed what, when, and whether the trail is whole."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.operation_name import OPERATION_NAMES
from tokensvc.operations.operation import READERS
from tokensvc.web.dashboard.audit_export import write_csv, write_lines
from tokensvc.web.dashboard.lists import ON_A_PAGE, build_link, build_page_links, read_wanted
from tokensvc.web.dashboard.moments import parse_day
from tokensvc.web.dashboard.naming import find_names
from tokensvc.web.dashboard.page import File, Page, Redirect, View

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime

    from tokensvc.web.dashboard.page import Visit

_FILTERS: Final = ("subject", "operation", "actor", "request_id", "from", "to")
_CHECKED: Final = 500  # how many of the newest events every look at the page checks
_ALL_CHECKED: Final = 10_000
_IN_A_FILE: Final = 10_000
_AT_ONCE: Final = 1000
# The last words of acts: what cannot be undone, and what somebody should look at.
_FINAL: Final = ("revoke", "delete", "drop", "revoke-tokens", "prune", "reset", "report")
_WORTH_A_LOOK: Final = ("disable", "suspend", "export", "refuse", "used_after_end", "import")
_NEW: Final = ("create", "rotate", "rotate-self", "enable", "resume", "confirm")


async def show_audit(visit: Visit) -> View | Redirect:
    """Show a page of the events, newest first."""
    wanted = read_wanted(visit, _FILTERS)
    cursor = visit.query.get("cursor")
    found = await visit.run(
        "audit-events.list", limit=ON_A_PAGE, cursor=cursor, **_build_filter(wanted)
    )
    is_thorough = visit.query.get("check") == "more"
    trail = await visit.run("audit-trail.show", newest=_ALL_CHECKED if is_thorough else _CHECKED)
    ids = [i for event in found.items for i in (event.actor, event.subject, event.account)]
    return View(
        {
            "days": _group(found.items, visit.now),
            "names": await find_names(visit, ids),
            "count": len(found.items),
            "trail": trail,
            "wanted": wanted,
            "operations": _list_operations(wanted.get("operation")),
            "csv": build_link("/audit/export", wanted, form="csv"),
            "lines": build_link("/audit/export", wanted, form="jsonl"),
            "more": build_link("/audit", wanted, check="more"),
            "most": _IN_A_FILE,
            **build_page_links(visit, "/audit", found, wanted),
        },
        fragment="audit/rows.html",
    )


async def export_audit(visit: Visit) -> File:
    """Return the newest of the wanted events as a file."""
    wanted, cursor = read_wanted(visit, _FILTERS), None
    events: list[Any] = []
    while len(events) < _IN_A_FILE:
        found = await visit.run(
            "audit-events.list", limit=_AT_ONCE, cursor=cursor, **_build_filter(wanted)
        )
        events += found.items
        cursor = found.next_cursor
        if cursor is None:
            break
    name = f"audit-{visit.now:%Y%m%d-%H%M%S}"
    if visit.query.get("form") == "csv":
        return File(f"{name}.csv", "text/csv", write_csv(events))
    return File(f"{name}.jsonl", "application/x-ndjson", write_lines(events))


def _build_filter(wanted: Mapping[str, str]) -> dict[str, Any]:
    """Return the filter of the operation; `to` is a whole day, so it lasts until the next one."""
    since, until = wanted.get("from"), wanted.get("to")
    return {
        **{name: wanted[name] for name in wanted if name not in {"from", "to"}},
        "since": None if since is None else parse_day(since, "from")[0].isoformat(),
        "until": None if until is None else parse_day(until, "to")[1].isoformat(),
    }


def _group(events: list[Any], now: datetime) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the events by the day, each with how it looks and what it changed."""
    return [
        (_write_day(day, now.date()), [_describe(event) for event in of_day])
        for day, of_day in groupby(events, key=lambda event: event.at.date())
    ]


def _write_day(day: date, today: date) -> str:
    """Return a day in words: "Today, Thursday 26 November 2026"."""
    near = {0: "Today, ", 1: "Yesterday, "}.get((today - day).days, "")
    return f"{near}{day:%A} {day.day} {day:%B %Y}"


def _describe(event: Any) -> dict[str, Any]:  # noqa: ANN401 - a model of the operations
    return {
        "event": event,
        "kind": _find_kind(event.operation),
        "name": _find_name(event.detail),
        "rows": find_changes(event.detail),
    }


def _find_kind(operation: str) -> str:
    """Return the kind of badge of an act."""
    verb = operation.partition(".")[2]
    for verbs, kind in ((_FINAL, "bad"), (_WORTH_A_LOOK, "warn"), (_NEW, "info")):
        if verb in verbs:
            return kind
    return "off"


def _find_name(detail: Mapping[str, Any]) -> str | None:
    """Return what people call the thing, if the event says it."""
    for place in (detail, detail.get("after"), detail.get("before")):
        if isinstance(place, dict) and isinstance(place.get("name"), str):
            return str(place["name"])
    return None


def find_changes(detail: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return (field, before, after) of what an event says; None stands for nothing.

    What did not change is left out.
    """
    before, after = detail.get("before"), detail.get("after")
    rest = {name: value for name, value in detail.items() if name not in {"before", "after"}}
    if not isinstance(before, dict) or not isinstance(after, dict):
        before, after, rest = {}, dict(detail), {}
    names = dict.fromkeys([*before, *after])
    rows = [(name, before.get(name), after.get(name)) for name in names]
    rows += [(name, None, value) for name, value in rest.items()]
    return [row for row in rows if row[1] != row[2]]


def _list_operations(chosen: str | None) -> list[tuple[str, str]]:
    """Return the acts to choose from; a chosen one stays even if only an older version had it."""
    names = list(OPERATION_NAMES)
    if chosen is not None and chosen not in names:
        names.insert(0, chosen)  # type: ignore[arg-type]
    return [("", "Any act"), *((name, name) for name in names)]


PAGES: Final = (
    Page(path="/audit", act=show_audit, template="audit/list.html", needs=READERS),
    Page(path="/audit/export", act=export_audit, needs=READERS),
)
