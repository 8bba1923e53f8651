"""Statements that read one page of a list, made from fragments of ours and values of the caller.

They are the only ones that are put together at run time, so that each has just the conditions that
are asked for, and Postgres finds an index for them. They are planned anew for each page: what most
rows fulfil is better read in the order of the list, and what few fulfil is better looked up, so the
plan depends on the values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg

from tokensvc.core.list_cursor import ListPlace, refuse_cursor
from tokensvc.store.planned import fetch_planned

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Condition(NamedTuple):
    """A condition on a row; `{}` in its text stands for the value.

    A condition that needs no value ends with `and {}`, and its value is True.
    """

    text: str
    value: Any


class Order(NamedTuple):
    """How a list is sorted: by an expression that is never null, then by an id.

    `type` and `id_type`: those of the expression and of the id in SQL.
    """

    expression: str
    type: str = "text"
    descending: bool = False
    id: str = "id"
    id_type: str = "text"


class PageWish(NamedTuple):
    """How many rows are wanted, and after which place."""

    limit: int
    after: ListPlace | None = None


class PageRows(NamedTuple):
    """The rows of a page, and the place of the last one; None if nothing follows."""

    rows: list[asyncpg.Record]
    end: ListPlace | None


class Section(NamedTuple):
    """The rows of a list that follow each other in one order, and before or behind all others.

    `source`: where they are found; it has the columns that conditions and order name. `only`: the
    condition that tells them from the others. `key`: what all of them are sorted by, as text, None
    if each has something of its own.
    """

    source: str
    order: Order
    only: str = "true"
    key: str | None = None


def choose_conditions(possible: Iterable[tuple[str, Any]]) -> list[Condition]:
    """Return the conditions whose values are wanted: a value of None asks for nothing."""
    return [Condition(text, value) for text, value in possible if value is not None]


async def fetch_page(
    connection: asyncpg.Connection,
    view: str,
    conditions: Sequence[Condition],
    order: Order,
    wish: PageWish,
) -> PageRows:
    """Return a page of a view, each row with Postgres's clock as `read_at`.

    Raises InvalidInputError for a cursor whose sort key is none.
    """
    return await fetch_page_of(connection, view, conditions, [Section(view, order)], wish)


async def fetch_page_of(
    connection: asyncpg.Connection,
    view: str,
    conditions: Sequence[Condition],
    sections: Sequence[Section],
    wish: PageWish,
) -> PageRows:
    """As `fetch_page`, of a list that has sections.

    Rows are found in the sources of the sections, and the view is read for them alone.
    """
    rows: list[asyncpg.Record] = []
    after = wish.after
    for section in _list_from(sections, after):
        # One more than is wanted tells whether anything follows.
        most = wish.limit + 1 - len(rows)
        rows += await _fetch_rows(connection, view, conditions, section, PageWish(most, after))
        # The place lies in the first section; those behind it are read from their beginning.
        after = None
        if len(rows) > wish.limit:
            last = rows[wish.limit - 1]
            return PageRows(
                rows[: wish.limit], ListPlace(last["sort_key"], str(last[section.order.id]))
            )
    return PageRows(rows, None)


def _list_from(sections: Sequence[Section], after: ListPlace | None) -> Sequence[Section]:
    """Return the section that a place is in, and those behind it."""
    if after is None:
        return sections
    keys = [section.key for section in sections]
    # A key that no section has belongs to a row of the section whose rows have their own.
    return sections[keys.index(after.key if after.key in keys else None) :]


async def _fetch_rows(
    connection: asyncpg.Connection,
    view: str,
    conditions: Sequence[Condition],
    section: Section,
    wish: PageWish,
) -> list[asyncpg.Record]:
    """Return at most `wish.limit` rows of a section."""
    order = section.order
    texts, values = [section.only], []
    for condition in conditions:
        values.append(condition.value)
        texts.append(condition.text.format(f"${len(values)}"))
    if wish.after is not None:
        values += wish.after
        sign = "<" if order.descending else ">"
        # A cursor holds texts, which Postgres casts to the types of the list or refuses. Both are
        # compared as a pair, because many rows may have the same sort key.
        key = f"${len(values) - 1}::text::{order.type}"
        last = f"${len(values)}::text::{order.id_type}"
        texts.append(f"({order.expression}, {order.id}) {sign} ({key}, {last})")
    values.append(wish.limit)
    statement = _write(view, section.source, " and ".join(texts), order, f"${len(values)}")
    try:
        return await fetch_planned(connection, statement, *values)
    except asyncpg.DataError as error:
        raise refuse_cursor() from error


def _write(view: str, source: str, where: str, order: Order, limit: str) -> str:
    """Return a statement that finds the rows of a page in `source` and reads them in `view`."""
    direction = " desc" if order.descending else ""
    # First the ids of the page, which an index gives; the view and all that it joins is read for
    # them alone.
    return (
        "select listed.*, page.place::text as sort_key, clock_timestamp() as read_at "  # noqa: S608
        f"from (select {order.id}, {order.expression} as place from {source} where {where} "
        f"order by {order.expression}{direction}, {order.id}{direction} limit {limit}) as page "
        f"join {view} as listed on listed.{order.id} = page.{order.id} "
        f"order by page.place{direction}, page.{order.id}{direction}"
    )


def build_part_pattern(text: str) -> str:
    r"""Return the pattern of `ilike` for a text that stands somewhere; `%`, `_`, `\` are plain."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
