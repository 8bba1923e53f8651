"""The chain of the audit trail: each event holds a hash of itself and of the hash before it.

The text that is hashed is that of a jsonb array in Postgres, where `append_audit_events` computes
it. Here it is computed again.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from tokensvc.core.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tokensvc.core.audit_event import AuditEvent

FIRST_HASH: Final = sha256(b"").digest()  # what the first event follows
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Break(NamedTuple):
    """The first place at which the chain does not hold."""

    number: int
    reason: str


class BrokenChainError(ConflictError):
    """The audit trail was changed. `found` is the first place at which the chain does not hold."""

    def __init__(self, found: Break) -> None:
        super().__init__(f"the audit trail is broken at event {found.number}: {found.reason}")
        self.found = found


class Chain:
    """Follows the chain from a known place on: the number of an event, and its hash."""

    def __init__(self, number: int = 0, hash_: bytes = FIRST_HASH) -> None:
        self.number = number
        self.hash = hash_

    def find_break(self, events: Iterable[AuditEvent]) -> Break | None:
        """Go through the next events; return the first that does not fit, None if all do."""
        for event in events:
            # Numbers have no gaps, as they are given out under the lock of the head. So a number
            # alone shows whether something was taken out or put in.
            if event.number <= self.number:
                return Break(event.number, "it is out of place")
            if event.number != self.number + 1:
                return Break(self.number + 1, "it is missing")
            reason = _find_change(self.hash, event)
            if reason is not None:
                return Break(event.number, reason)
            self.number, self.hash = event.number, event.hash
        return None

    def check(self, events: Iterable[AuditEvent]) -> None:
        """Raise BrokenChainError unless these are the next events."""
        found = self.find_break(events)
        if found is not None:
            raise BrokenChainError(found)


def compute_hash(previous: bytes, event: AuditEvent) -> bytes:
    """Return what the hash of `event` must be, after an event whose hash is `previous`.

    Raises ValueError for a detail that no event can have.
    """
    return sha256(previous + build_text(event).encode("utf-8")).digest()


def build_text(event: AuditEvent) -> str:
    """Return the text that is hashed. Raises ValueError for a detail that no event can have."""
    # The address itself is not hashed: it is deleted after a time, and the chain must still hold.
    # Its salted hash stays, and proves an address that is still there.
    commitment = event.address_commitment
    fields = [
        event.number,
        (event.at - _EPOCH) // _MICROSECOND,  # a whole number has one text, a date has many
        event.actor,
        event.account_id,
        None if commitment is None else commitment.hex(),
        event.request_id,
        event.operation,
        event.subject,
        _order(event.detail),
    ]
    # So `json` writes as Postgres writes a jsonb: a blank after each comma and colon, and
    # characters beyond ASCII as they are.
    return json.dumps(fields, ensure_ascii=False)


def check_detail(detail: Mapping[str, object]) -> None:
    """Raise ValueError for a detail that no event can have: one that holds a fraction."""
    _order(dict(detail))


def _find_change(previous: bytes, event: AuditEvent) -> str | None:
    try:
        is_right = compute_hash(previous, event) == event.hash
    except ValueError:
        is_right = False
    if not is_right:
        return "it was changed, or the one before it was replaced"
    if event.address is not None:
        committed = sha256((event.address_salt or b"") + event.address.encode("utf-8")).digest()
        if committed != event.address_commitment:
            return "its address was changed"
    return None


def _order(value: object) -> object:
    """Return the value with the names of its objects in the order of jsonb: shorter ones first."""
    if isinstance(value, float):
        raise ValueError("a number with a fraction has no single text")  # noqa: TRY004
    if isinstance(value, list | tuple):
        return [_order(part) for part in value]
    if isinstance(value, dict):
        return {name: _order(value[name]) for name in sorted(value, key=_measure)}
    return value


def _measure(name: str) -> tuple[int, bytes]:
    # Postgres compares the bytes of the names, and not their characters.
    encoded = name.encode("utf-8")
    return len(encoded), encoded
