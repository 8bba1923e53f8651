"""The audit trail (`sql/queries/audit_event.sql`)."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import asyncpg

from tokensvc.core.actor import Actor
from tokensvc.core.audit_chain import FIRST_HASH
from tokensvc.core.audit_claim import SAID_BYTES, AuditClaim
from tokensvc.core.audit_event import AuditEvent, AuditHead
from tokensvc.core.errors import CallerEndedError
from tokensvc.store.driver_errors import not_initialised
from tokensvc.store.page_query import Order, choose_conditions, fetch_page
from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Sequence
    from datetime import datetime, timedelta

    from tokensvc.core.audit_event import AuditFilter
    from tokensvc.core.list_cursor import ListPlace
    from tokensvc.core.operation_name import OperationName
    from tokensvc.store.page_query import PageWish

_READ_AT_ONCE: Final = 2000
_CALLER_ENDED: Final = "TS004"  # what check_caller_stands raises
BEFORE_ALL: Final = -(2**63)  # below every number, also of rows that somebody has put in

_SQL = load_queries("audit_event")
_NUMBER: Final = Order("number", "bigint", id="number", id_type="bigint")
_FIELDS: Final = tuple(field.name for field in fields(AuditEvent))


class NewAuditEvent(NamedTuple):
    """An event that is to be written: what was done to what. No secrets, no fractions."""

    operation: OperationName
    subject: str
    detail: dict[str, Any]


def encode_actors(actor: Actor | Sequence[Actor]) -> dict[str, str] | list[dict[str, str]]:
    """Return one actor, or the actor of each place, as the functions of the database take them."""
    return actor.facts if isinstance(actor, Actor) else [one.facts for one in actor]


def find_caller(actor: Actor | Sequence[Actor]) -> str | None:
    """Return the key that must stand. Those who act together, each for itself, show none."""
    return actor.caller if isinstance(actor, Actor) else None


async def append_audit_events(
    connection: asyncpg.Connection, actor: Actor, events: Sequence[NewAuditEvent]
) -> None:
    """Write events, in the transaction of the act itself.

    It comes last, before what locks `feed_head`: all others who change something wait from here to
    the commit. Raises CallerEndedError if the key of an actor that must stand has ended meanwhile.
    """
    operations, subjects, details = zip(*events, strict=True)
    what = [actor.facts] * len(events), operations, subjects, details
    if actor.caller is None:
        await connection.execute(_SQL["append"], *what)
    # The events are appended in any case, and the error rolls them back with all else.
    elif not await connection.fetchval(_SQL["append_of_caller"], actor.caller, *what):
        raise CallerEndedError


async def fetch_standing(
    connection: asyncpg.Connection, statement: str, *arguments: object, caller: str | None
) -> list[asyncpg.Record]:
    """Return the rows of a statement that ends something; `caller` is its last argument.

    Raises CallerEndedError, and nothing is ended, if the key of the caller has ended before.
    """
    try:
        return await connection.fetch(statement, *arguments, caller)
    except asyncpg.PostgresError as error:
        if error.sqlstate == _CALLER_ENDED:
            raise CallerEndedError from error
        raise


async def has_recent_event(
    connection: asyncpg.Connection, operation: OperationName, subject: str, within: timedelta
) -> bool:
    """Tell whether this was done to the subject already, within that time before now."""
    found: bool = await connection.fetchval(_SQL["has_recent"], operation, subject, within)
    return found


async def list_audit_page(
    connection: asyncpg.Connection, wanted: AuditFilter, wish: PageWish, *, oldest_first: bool
) -> tuple[list[AuditEvent], ListPlace | None]:
    """Return a page of events, and the place where the next one begins."""
    possible: list[tuple[str, Any]] = [
        ("at >= {}", wanted.since),
        ("at < {}", wanted.until),
        ("actor = {}", wanted.actor),
        ("operation = {}", wanted.operation),
        ("subject = {}", wanted.subject),
        ("request_id = {}", wanted.request_id),
        ("number < {}", wanted.before_number),
    ]
    conditions = choose_conditions(possible)
    order = _NUMBER._replace(descending=not oldest_first)
    page = await fetch_page(connection, "listed_audit_event", conditions, order, wish)
    return [_build_event(row) for row in page.rows], page.end


class Cause(NamedTuple):
    """Who brought something about, and why; both are None if the trail does not tell."""

    actor: str | None
    reason: str | None


async def find_causes(
    connection: asyncpg.Connection, ended: Sequence[tuple[OperationName, str, datetime]]
) -> list[Cause]:
    """Return the cause of each thing: what was done to what, and a moment just after that."""
    operations, subjects, moments = zip(*ended, strict=True) if ended else ((), (), ())
    rows = await connection.fetch(_SQL["find_causes"], operations, subjects, moments)
    return [Cause(row["actor"], row["reason"] or None) for row in rows]


async def read_audit_events(
    connection: asyncpg.Connection, after: int = BEFORE_ALL, *, at_once: int = _READ_AT_ONCE
) -> AsyncIterator[list[AuditEvent]]:
    """Go through the events with numbers above `after` in order, `at_once` at a time."""
    while True:
        rows = await connection.fetch(_SQL["list_after"], after, at_once)
        if rows:
            yield [_build_event(row) for row in rows]
        if len(rows) < at_once:
            return
        after = rows[-1]["number"]


async def load_audit_head(connection: asyncpg.Connection) -> AuditHead:
    """Return the newest event's number and hash. Raises UnavailableError during a restore."""
    row = await connection.fetchrow(_SQL["load_head"])
    if row is None:
        raise not_initialised()
    return AuditHead(**dict(row))


async def list_witness_hashes(
    connection: asyncpg.Connection, numbers: Collection[int]
) -> dict[int, bytes]:
    """Return what the table holds now as the hashes of these events, of those that are there."""
    rows = await connection.fetch(_SQL["list_hashes"], list(numbers))
    return {row["number"]: row["hash"] for row in rows}


async def load_audit_claim(
    connection: asyncpg.Connection, numbers: Collection[int] = ()
) -> AuditClaim:
    """Return what followers are told now: also the hashes of the events with these numbers.

    Events that a checkpoint has deleted are left out. Raises UnavailableError during a
    restore.
    """
    rows = await connection.fetch(_SQL["load_claim"], list(numbers))
    if not rows:
        raise not_initialised()
    first = rows[0]
    head = AuditHead(first["head_number"], first["head_hash"] or FIRST_HASH, first["epoch"])
    oldest = first["oldest"] or 0
    # Of each number that was asked for, the beginning of its hash is told, and None if the event is
    # missing. What a checkpoint has deleted is left out, and so is the head, whose hash is told
    # whole.
    earlier = {
        row["number"]: row["hash"] and row["hash"][:SAID_BYTES]
        for row in rows
        if row["number"] is not None and oldest <= row["number"] != head.number
    }
    return AuditClaim(head=head, earlier=earlier)


def _build_event(row: asyncpg.Record) -> AuditEvent:
    return AuditEvent(**{name: row[name] for name in _FIELDS})
