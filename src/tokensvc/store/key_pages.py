"""Pages of the list of API keys: its filters and orders, each a fragment that an index serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tokensvc.store.api_key import list_row
from tokensvc.store.page_query import (
    Condition,
    Order,
    Section,
    build_part_pattern,
    choose_conditions,
    fetch_page_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import asyncpg

    from tokensvc.core.api_key import KeyState, ListedKey
    from tokensvc.core.list_cursor import ListPlace
    from tokensvc.store.page_query import PageWish

_KEYS: Final = "api_key"
_UNUSED: Final = "(select key_id as id from unused_api_key) as unused join api_key using (id)"
# The last uses are sorted before their keys are looked up: those of the first page are few. With
# `offset 0` the planner leaves this order as it is.
_USES: Final = (
    "(select key_id as id, at as last_used_at from api_key_last_use "
    "order by at{direction}, key_id{direction} offset 0) as used join api_key using (id)"
)
_SECTIONS: Final = {
    "created_at": [Section(_KEYS, Order("created_at", "timestamptz"))],
    "name": [Section(_KEYS, Order("name"))],
    # Keys that were never used come first, and keys that never expire last.
    "last_used_at": [
        Section(_UNUSED, Order("'-infinity'::timestamptz", "timestamptz"), key="-infinity"),
        Section(_USES, Order("last_used_at", "timestamptz")),
    ],
    "expires_at": [
        Section(_KEYS, Order("expires_at", "timestamptz"), "expires_at is not null"),
        Section(
            _KEYS,
            Order("'infinity'::timestamptz", "timestamptz"),
            "expires_at is null",
            "infinity",
        ),
    ],
}
_NOT_USED_SINCE: Final = (
    "not exists (select from api_key_last_use as latest "
    "where latest.key_id = api_key.id and latest.at >= {})"
)
# `is not null` follows from the equation. The planner needs it to know how few these keys are.
_REPLACED: Final = (
    "exists (select from api_key as successor "
    "where successor.predecessor_id = api_key.id and successor.predecessor_id is not null)"
)
# As the view `listed_api_key` says.
_LISTED: Final = (
    "deleted_at is null "
    "and account_id in (select account.id from account where account.deleted_at is null) and {}"
)
# As `state_of` says; a final state hides a reversible one.
_STATES: Final[dict[KeyState, str]] = {
    "revoked": "revoked_at is not null",
    "expired": "(revoked_at is null and expires_at <= clock_timestamp())",
    "disabled": "(revoked_at is null and disabled_at is not null "
    "and coalesce(expires_at, 'infinity') > clock_timestamp())",
    "active": "(revoked_at is null and disabled_at is null "
    "and coalesce(expires_at, 'infinity') > clock_timestamp())",
}


class KeyFilter(NamedTuple):
    """Which keys are wanted. None asks for nothing."""

    ids: Sequence[str] | None = None
    id_prefix: str | None = None
    account_id: str | None = None
    state: KeyState | None = None
    capability: str | None = None
    audience: str | None = None
    part: str | None = None
    created_before: datetime | None = None
    used_before: datetime | None = None
    expires_before: datetime | None = None
    never_expires: bool | None = None
    replaced: bool | None = None
    metadata: dict[str, str] | None = None
    sort: str = "created_at"


async def list_key_page(
    connection: asyncpg.Connection, wanted: KeyFilter, wish: PageWish
) -> tuple[list[ListedKey], ListPlace | None]:
    """Return a page of keys, and the place where the next one begins. Raises InvalidInputError."""
    page = await fetch_page_of(
        connection, "listed_api_key", _list_conditions(wanted), _list_sections(wanted.sort), wish
    )
    return [list_row(row, row["read_at"]) for row in page.rows], page.end


def _list_sections(sort: str) -> list[Section]:
    """Return the sections in the order that is wanted: `-` turns all round."""
    sections = _SECTIONS[sort.removeprefix("-")]
    if not sort.startswith("-"):
        return [each._replace(source=each.source.format(direction="")) for each in sections]
    return [
        each._replace(
            source=each.source.format(direction=" desc"),
            order=each.order._replace(descending=True),
        )
        for each in reversed(sections)
    ]


def _list_conditions(wanted: KeyFilter) -> list[Condition]:
    pattern = None if wanted.part is None else build_part_pattern(wanted.part)
    audience = None if wanted.audience is None else [wanted.audience]
    capability = None if wanted.capability is None else [wanted.capability]
    possible: list[tuple[str, Any]] = [
        ("id = any ({}::text[])", wanted.ids),
        ("starts_with(id, {})", wanted.id_prefix),
        ("account_id = {}", wanted.account_id),
        ("capabilities @> {}::text[]", capability),
        # A key without a list may ask for every audience.
        ("(audiences @> {}::text[] or audiences = '{{}}')", audience),
        ("(name || ' ' || hint) ilike {}", pattern),
        ("created_at < {}", wanted.created_before),
        (_NOT_USED_SINCE, wanted.used_before),
        ("expires_at < {}", wanted.expires_before),
        ("(expires_at is null) = {}", wanted.never_expires),
        ("metadata @> {}::jsonb", wanted.metadata or None),
    ]
    conditions = choose_conditions(possible)
    conditions.append(Condition(_LISTED, True))
    if wanted.replaced is not None:  # not compared with a value: so an index finds the few
        negation = "" if wanted.replaced else "not "
        conditions.append(Condition(f"{negation}{_REPLACED} and {{}}", True))
    if wanted.state is not None:
        conditions.append(Condition(f"{_STATES[wanted.state]} and {{}}", True))
    return conditions
