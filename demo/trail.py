"""The audit trail of the story: the same events, with the times that the story gives them.

The service only ever appends, at the time of its clock, and its database refuses everything else.
So the demo, which owns its database, takes the trail out and puts it in again as it would have
become. The chain of hashes is computed by the code that verifies it.
"""

from __future__ import annotations

import bisect
import hashlib
import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tokensvc.core.audit_chain import FIRST_HASH, compute_hash
from tokensvc.store.audit_event import read_audit_events

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tokensvc.core.audit_event import AuditEvent
    from tokensvc.store.pool import Connection

_TABLES: Final = ("audit_event", "audit_head")
_MOMENT: Final = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:.]+\+00:00")


class Moved(NamedTuple):
    """An act that was moved: the number of its last event, when it was, and by how much."""

    number: int
    at: datetime
    by: timedelta


async def move_trail(connection: Connection, times: Sequence[Moved]) -> None:
    """Give each event the time of its act."""
    events = [event async for batch in read_audit_events(connection) for event in batch]
    moved = build_chain(events, times)
    async with connection.transaction():
        for table in _TABLES:
            await connection.execute(f"alter table {table} disable trigger user")
        await connection.execute("delete from audit_event")
        for event in moved:
            await _put(connection, event)
        await connection.execute("update audit_head set hash = $1", moved[-1].hash)
        for table in _TABLES:
            await connection.execute(f"alter table {table} enable trigger user")


def build_chain(events: Iterable[AuditEvent], times: Sequence[Moved]) -> list[AuditEvent]:
    """Return events with other times, and with the hashes that they have then."""
    numbers = [act.number for act in times]
    built: list[AuditEvent] = []
    previous = FIRST_HASH
    for event in events:
        place = bisect.bisect_left(numbers, event.number)
        first = numbers[place - 1] if place else 0
        at = times[place].at + timedelta(milliseconds=7 * (event.number - first))
        commitment = None
        if event.address is not None:
            salted = (event.address_salt or b"") + event.address.encode("utf-8")
            commitment = hashlib.sha256(salted).digest()
        detail = _move_detail(event.detail, times[place].by)
        moved = replace(event, at=at, address_commitment=commitment, detail=detail)
        previous = compute_hash(previous, moved)
        built.append(replace(moved, hash=previous))
    return built


def _move_detail(value: Any, by: timedelta) -> Any:  # noqa: ANN401 - a part of JSON
    """Return what an event tells, with the moments in it moved as well."""
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        return (datetime.fromisoformat(value) - by).isoformat()
    if isinstance(value, dict):
        return {name: _move_detail(part, by) for name, part in value.items()}
    return value


async def _put(connection: Connection, event: AuditEvent) -> None:
    await connection.execute(
        "insert into audit_event (number, at, actor, account_id, address_commitment, request_id,"
        " operation, subject, detail, hash) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        event.number,
        event.at,
        event.actor,
        event.account_id,
        event.address_commitment,
        event.request_id,
        event.operation,
        event.subject,
        event.detail,
        event.hash,
    )
    await connection.execute(
        "update audit_address set at = $2 where number = $1", event.number, event.at
    )
