"""The audit trail."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from tokensvc.operations.model import Json, ListPage, Model, Moment, PageRequest
from tokensvc.operations.operation import READERS, Operation


class AuditEvent(Model):
    """Who did what to what, when. `hash` covers the row and the hash of the row before."""

    number: int = Field(description="Its place in the trail, from 1.")
    at: Moment = Field(description="When it happened, by Postgres's clock.")
    actor: str = Field(
        description="Who did it: the id of an API key, `cli:` and a user of the host, `holder` for "
        "whoever holds a credential, or the name of a task of the service."
    )
    account: str | None = Field(
        description="The account of the actor's key; null: the actor is no key."
    )
    address: str | None = Field(
        description="Where the actor was; null: that is not known, or its time is over."
    )
    address_salt: str | None = Field(
        description="With it the address can be checked, hexadecimal; null as `address` is."
    )
    address_commitment: str | None = Field(
        description="SHA-256 of salt and address, hexadecimal, which stays when they are deleted; "
        "null: there was no address."
    )
    request_id: str | None = Field(
        description="The `X-Request-Id` of the request; null: it was no request."
    )
    operation: str = Field(description="What was done, like `keys.create`.")
    subject: str = Field(description="The id or the name of what it was done to.")
    detail: dict[str, Json] = Field(
        description="What else is to be known, which depends on `operation`; never a secret."
    )
    hash: str = Field(
        description="SHA-256 of the event, without address and salt, and of the `hash` before it; "
        "hexadecimal."
    )


class ListAuditEvents(PageRequest):
    """Which events are wanted."""

    since: Moment | None = Field(None, description="Only events of this moment and later.")
    until: Moment | None = Field(None, description="Only events before this moment.")
    actor: str | None = Field(None, max_length=200, description="Only what this actor did.")
    operation: str | None = Field(
        None, max_length=100, description="Only events of this `operation`."
    )
    subject: str | None = Field(
        None, max_length=300, description="Only what was done to this id or name."
    )
    request_id: str | None = Field(
        None, max_length=100, description="Only what the request with this `X-Request-Id` did."
    )
    sort: Literal["-number", "number"] = Field(
        "-number", description="The order of the list; with `-` the newest event comes first."
    )


class AuditTrailRequest(Model):
    """How much of the trail is checked."""

    newest: int = Field(
        1000, ge=0, le=10_000, description="How many of the newest events are checked."
    )


class AuditTrail(Model):
    """Where the trail ends, and whether its newest events are as they were written.

    `number`, `hash` and `epoch` are those of the head: compare them with what followers have seen.
    """

    state: Literal["whole", "broken"] = Field(
        description="`whole`, or `broken`: an event is missing, or is not as it was written."
    )
    checked: int = Field(description="How many events were checked.")
    broken_at: int | None = Field(
        description="The number of the first event that does not fit; null: all do."
    )
    reason: str | None = Field(description="What is wrong with it; null: nothing.")
    checkpoint: int | None = Field(
        description="The number of the newest event that was deleted, by a prune; null: none was."
    )
    number: int = Field(description="The number of the newest event.")
    hash: str = Field(description="The `hash` of the newest event.")
    epoch: str = Field(description="It is another one than before if a reset was declared.")


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
