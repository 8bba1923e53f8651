"""Deliveries of notices: what was sent to whom, and what became of it."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from tokensvc.operations.model import (
    AccountId,
    CreationMoment,
    ListPage,
    Model,
    Moment,
    PageRequest,
)
from tokensvc.operations.operation import KEY_OWNERS, KEY_READERS, Operation

State = Literal["waiting", "delivered", "failed"]
DeliveryId = Annotated[
    str, Field(pattern="^[1-9][0-9]{0,17}$", description="The id of a delivery.", examples=["1"])
]


class NoticeDelivery(Model):
    """A notice on its way to an endpoint."""

    id: DeliveryId
    endpoint: str = Field(description="The id of the endpoint.")
    account: AccountId | None = Field(
        description="The account of the endpoint; null: it is told of the whole service."
    )
    notice: str = Field(description="The id of the notice, its `webhook-id`.")
    event: str = Field(description="What has happened, like `key.revoked`.")
    subject: str = Field(description="The id or the name of what it has happened to.")
    state: State = Field(
        description="`waiting`: it is still to be tried. `delivered`. `failed`: it is not tried "
        "again."
    )
    created_at: CreationMoment
    attempts: int = Field(description="How many times it was tried.")
    tried_at: Moment | None = Field(description="When it was last tried; null: not yet.")
    next_at: Moment | None = Field(description="When it is tried next; null: never.")
    delivered_at: Moment | None = Field(description="When it was delivered; null: not yet.")
    status: int | None = Field(
        description="The HTTP status of the last response; null: there was none."
    )
    error: str | None = Field(
        description="Why the last attempt failed, like `timeout`; null: it did not."
    )


class ListNoticeDeliveries(PageRequest):
    """Which deliveries are wanted."""

    account: AccountId | None = Field(
        None, description="Only deliveries to endpoints of this account."
    )
    endpoint: str | None = Field(
        None, max_length=40, description="Only deliveries to the endpoint with this id."
    )
    event: str | None = Field(
        None, max_length=100, description="Only deliveries of events with this name."
    )
    state: State | None = Field(None, description="Only deliveries in this state.")


class NoticeDeliveryRequest(Model):
    """Which delivery."""

    id: DeliveryId


OPERATIONS: Final = (
    Operation(
        name="notice-deliveries.list",
        method="GET",
        path="/v1/notice-deliveries",
        summary="List deliveries of the last 30 days, newest first.",
        needs=KEY_READERS,
        request=ListNoticeDeliveries,
        response=ListPage[NoticeDelivery],
    ),
    Operation(
        name="notice-deliveries.redeliver",
        method="POST",
        path="/v1/notice-deliveries/{id}/redeliver",
        summary="Send a notice to its endpoint once more, whatever became of it.",
        needs=KEY_OWNERS,
        request=NoticeDeliveryRequest,
        response=NoticeDelivery,
    ),
)
