"""Events on their way to endpoints (`sql/queries/notice_delivery.sql`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from tokensvc.core.errors import NotFoundError
from tokensvc.store.notice_event import build_notice
from tokensvc.store.page_query import Condition, Order, choose_conditions, fetch_page
from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    import asyncpg

    from tokensvc.core.list_cursor import ListPlace
    from tokensvc.core.notices.event import Notice
    from tokensvc.store.page_query import PageWish

DeliveryState = Literal["waiting", "delivered", "failed"]

_SQL = load_queries("notice_delivery")
_ID: Final = Order("id", "bigint", descending=True, id="id", id_type="bigint")
_STATES: Final[dict[DeliveryState, str]] = {
    "waiting": "next_at is not null",
    "delivered": "(next_at is null and delivered_at is not null)",
    "failed": "(next_at is null and delivered_at is null)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """An event on its way to an endpoint. `status`: of the last HTTP response."""

    id: int
    endpoint_id: str
    account_id: str | None
    notice_id: str
    name: str
    subject: str
    created_at: datetime
    next_at: datetime | None
    attempts: int
    tried_at: datetime | None
    status: int | None
    error: str | None
    delivered_at: datetime | None

    @property
    def state(self) -> DeliveryState:
        """What became of it."""
        if self.next_at is not None:
            return "waiting"
        return "failed" if self.delivered_at is None else "delivered"


class DueDelivery(NamedTuple):
    """What is to be sent now. `attempts`: those before. `read_at`: Postgres's clock."""

    id: int
    attempts: int
    read_at: datetime
    notice: Notice


class AttemptOutcome(NamedTuple):
    """How an attempt ended. `error` says why it failed, in a few words."""

    is_delivered: bool
    status: int | None = None
    error: str | None = None


class DeliveryFilter(NamedTuple):
    """Which deliveries are wanted; None asks for nothing."""

    account_id: str | None = None
    endpoint_id: str | None = None
    name: str | None = None
    state: DeliveryState | None = None


async def list_due_deliveries(
    connection: asyncpg.Connection, endpoint_id: str, most: int
) -> list[DueDelivery]:
    """Return what an endpoint is to be sent now, in order."""
    return [
        DueDelivery(row["delivery_id"], row["attempts"], row["read_at"], build_notice(row))
        for row in await connection.fetch(_SQL["list_due"], endpoint_id, most)
    ]


async def note_attempt(
    connection: asyncpg.Connection,
    delivery_ids: Sequence[int],
    outcome: AttemptOutcome,
    pauses: Sequence[timedelta | None],
) -> None:
    """Note how an attempt ended. `pauses`: how long each waits for the next one, None for ever."""
    await connection.execute(
        _SQL["note_attempt"],
        delivery_ids,
        outcome.is_delivered,
        outcome.status,
        outcome.error,
        pauses,
    )


async def load_delivery(connection: asyncpg.Connection, delivery_id: int) -> Delivery:
    """Return a delivery. Raises NotFoundError."""
    row = await connection.fetchrow(_SQL["find"], delivery_id)
    if row is None:
        raise no_such_delivery(delivery_id)
    return _build_delivery(row)


async def load_first_delivery(connection: asyncpg.Connection, event_number: int) -> Delivery:
    """Return the first delivery of an event that has one."""
    (row,) = await connection.fetch(_SQL["find_of_event"], event_number)
    return _build_delivery(row)


async def list_delivery_page(
    connection: asyncpg.Connection, wanted: DeliveryFilter, wish: PageWish
) -> tuple[list[Delivery], ListPlace | None]:
    """Return a page of deliveries, newest first, and the place where the next one begins."""
    of_account = None
    if wanted.account_id is not None:
        # By their ids, so that Postgres knows how many deliveries these endpoints have.
        rows = await connection.fetch(_SQL["list_endpoints"], wanted.account_id)
        of_account = [row["id"] for row in rows]
    possible: list[tuple[str, Any]] = [
        ("endpoint_id = any ({}::text[])", of_account),
        ("endpoint_id = {}", wanted.endpoint_id),
        ("name = {}", wanted.name),
    ]
    conditions = choose_conditions(possible)
    if wanted.state is not None:
        conditions.append(Condition(f"{_STATES[wanted.state]} and {{}}", True))
    page = await fetch_page(connection, "listed_notice_delivery", conditions, _ID, wish)
    return [_build_delivery(row) for row in page.rows], page.end


async def repeat_delivery(connection: asyncpg.Connection, delivery: Delivery) -> None:
    """Send an event once more, as if it were new."""
    await connection.execute(_SQL["repeat"], delivery.id)
    await connection.execute(_SQL["wake"], delivery.endpoint_id)


async def find_oldest_seconds(connection: asyncpg.Connection) -> float:
    """Return how long the oldest delivery waits, 0 if none does."""
    seconds: float = await connection.fetchval(_SQL["find_oldest"])
    return seconds


def no_such_delivery(delivery_id: int) -> NotFoundError:
    """Return the error for a delivery that does not exist, or whose time is over."""
    return NotFoundError(f"there is no delivery {delivery_id}", thing=str(delivery_id))


def _build_delivery(row: asyncpg.Record) -> Delivery:
    return Delivery(**{name: row[name] for name in Delivery.__slots__})
