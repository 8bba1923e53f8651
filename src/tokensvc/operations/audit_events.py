"""The audit trail."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from tokensvc.operations.model import Json, ListPage, Model, Moment, PageRequest
from tokensvc.operations.operation import READERS, Operation


class AuditEvent(Model):
    """Who did what to what, when. `hash` covers the row and the hash of the row before."""

    number: int
    at: Moment
    actor: str
    account: str | None = Field(description="The account of the actor's key.")
    address: str | None = Field(description="Where the actor was; null when its time is over.")
    address_salt: str | None = Field(description="With it the address can be checked.")
    address_commitment: str | None
    request_id: str | None
    operation: str
    subject: str
    detail: dict[str, Json]
    hash: str = Field(description="SHA-256, hexadecimal.")


class ListAuditEvents(PageRequest):
    """Which events are wanted."""

    since: Moment | None = None
    until: Moment | None = None
    actor: str | None = Field(None, max_length=200)
    operation: str | None = Field(None, max_length=100)
    subject: str | None = Field(None, max_length=300)
    request_id: str | None = Field(None, max_length=100)
    sort: Literal["-number", "number"] = "-number"


class AuditTrailRequest(Model):
    """How much of the trail is checked."""

    newest: int = Field(
        1000, ge=0, le=10_000, description="How many of the newest events are checked."
    )


class AuditTrail(Model):
    """Where the trail ends, and whether its newest events are as they were written.

    `number`, `hash` and `epoch` are those of the head: compare them with what followers have seen.
    """

    state: Literal["whole", "broken"]
    checked: int = Field(description="How many events were checked.")
    broken_at: int | None = Field(description="The first event that does not fit.")
    reason: str | None = Field(description="What is wrong with it.")
    checkpoint: int | None = Field(description="The newest event that was deleted, by a prune.")
    number: int
    hash: str = Field(description="SHA-256, hexadecimal.")
    epoch: str = Field(description="Another one than before: a reset was declared.")


OPERATIONS: Final = (
    Operation(
        name="audit-events.list",
        method="GET",
        path="/v1/audit-events",
        summary="List the events of the audit trail, newest first.",
        needs=READERS,
        request=ListAuditEvents,
        response=ListPage[AuditEvent],
    ),
    Operation(
        name="audit-trail.show",
        method="GET",
        path="/v1/audit-trail",
        summary="Show where the audit trail ends, and check its newest events.",
        needs=READERS,
        request=AuditTrailRequest,
        response=AuditTrail,
    ),
)
