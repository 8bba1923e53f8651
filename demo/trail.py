"""The audit trail of the story: the same events, with the times that the story gives them.

The service only ever appends, at the time of its clock, and its database refuses everything else.
So the demo, which owns its database, takes the trail out and puts it in again as it would have
become. The chain of hashes is computed by the code that verifies it.
"""

from __future__ import annotations

import bisect
import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from tokensvc.core.audit_chain import FIRST_HASH, compute_hash
from tokensvc.store.audit_event import read_audit_events

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from tokensvc.core.audit_event import AuditEvent
    from tokensvc.store.pool import Connection

_TABLES = ("audit_event", "audit_head")


async def move_trail(connection: Connection, times: Sequence[tuple[int, datetime]]) -> None:
    """Give each event the time of its act. `times`: (number of the last event of an act, when)."""
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


def build_chain(
    events: Iterable[AuditEvent], times: Sequence[tuple[int, datetime]]
) -> list[AuditEvent]:
    """Return events with other times, and with the hashes that they have then."""
    numbers = [number for number, _ in times]
    built: list[AuditEvent] = []
    previous = FIRST_HASH
    for event in events:
        place = bisect.bisect_left(numbers, event.number)
        first = numbers[place - 1] if place else 0
        at = times[place][1] + timedelta(milliseconds=7 * (event.number - first))
        commitment = None
        if event.address is not None:
            salted = (event.address_salt or b"") + event.address.encode("utf-8")
            commitment = hashlib.sha256(salted).digest()
        moved = replace(event, at=at, address_commitment=commitment)
        previous = compute_hash(previous, moved)
        built.append(replace(moved, hash=previous))
    return built


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
