"""The audit trail."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from tokensvc.operations.model import Json, Model, Moment, Page, PageRequest
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


OPERATIONS: Final = (
    Operation(
        name="audit-events.list",
        method="GET",
        path="/v1/audit-events",
        summary="List the events of the audit trail, newest first.",
        needs=READERS,
        request=ListAuditEvents,
        response=Page[AuditEvent],
    ),
)
