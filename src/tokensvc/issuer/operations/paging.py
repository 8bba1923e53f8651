"""Pages of lists: the cursor of a request becomes a place, and the place after a page a cursor."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.list_cursor import ListPlace, build_list_cursor, parse_list_cursor
from tokensvc.store.page_query import PageWish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tokensvc.operations.model import PageRequest

_PLACE_FIELDS: Final = {"limit", "cursor"}


def read_wish(request: PageRequest) -> PageWish:
    """Return which part of a list is wanted. Raises InvalidInputError."""
    if request.cursor is None:
        return PageWish(request.limit)
    name, filters = type(request).__name__, _list_filters(request)
    return PageWish(request.limit, parse_list_cursor(request.cursor, name, filters))


def build_next_cursor(request: PageRequest, end: ListPlace | None) -> str | None:
    """Return the cursor of what follows `end`, None if nothing does."""
    if end is None:
        return None
    return build_list_cursor(end, type(request).__name__, _list_filters(request))


def cut_page(
    request: PageRequest, things: Iterable[Any], find_key: Callable[[Any], str]
) -> tuple[list[Any], str | None]:
    """Return a page of a short list that is known as a whole, and the cursor of what follows.

    The list is sorted by `find_key`, which tells each thing from all others. So a page begins at
    the right thing even if the last one of the page before is gone.
    """
    wish, ordered = read_wish(request), sorted(things, key=find_key)
    start = 0 if wish.after is None else bisect_right(ordered, wish.after.id, key=find_key)
    page = ordered[start : start + wish.limit]
    is_last = start + wish.limit >= len(ordered)
    end = None if is_last else ListPlace("", find_key(page[-1]))
    return page, build_next_cursor(request, end)


def select_named(part: str | None, things: Sequence[Any]) -> list[Any]:
    """Return those things whose name contains a text, in capitals or not; all without a text."""
    return [t for t in things if part is None or part.casefold() in t.name.casefold()]


def _list_filters(request: PageRequest) -> dict[str, Any]:
    return request.model_dump(mode="json", exclude=_PLACE_FIELDS)
