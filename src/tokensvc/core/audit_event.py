"""The audit trail: what one event says, and where the trail ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """Who did what to what, when.

    `account_id`: of the actor, if that is an API key. `address` is None if there was none, or if it
    was deleted; `address_commitment`, the SHA-256 of salt and address, stays. `detail` holds no
    secret and no number with a fraction. `hash` covers the other fields but address and salt, and
    the hash of the event before.
    """

    number: int
    at: datetime
    actor: str
    account_id: str | None
    address: str | None
    address_salt: bytes | None
    address_commitment: bytes | None
    request_id: str | None
    operation: str
    subject: str
    detail: dict[str, Any]
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which events are wanted; None means all. `since` is included, `until` is not.

    `before_number`: only events with smaller numbers.
    """

    since: datetime | None = None
    until: datetime | None = None
    actor: str | None = None
    operation: str | None = None
    subject: str | None = None
    request_id: str | None = None
    before_number: int | None = None


class AuditCheckpoint(NamedTuple):
    """Where the trail begins after its oldest events were deleted.

    `number` and `hash` are those of the newest event that was deleted, `at` is when that happened,
    and `jws` says it all, signed.
    """

    number: int
    hash: bytes
    at: datetime
    jws: str


class AuditHead(NamedTuple):
    """The newest event. Another `epoch` than before tells that a restore was declared."""

    number: int
    hash: bytes
    epoch: str
