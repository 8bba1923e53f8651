"""Deliveries of notices: what was sent to whom, and what became of it."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from tokensvc.operations.model import AccountId, ListPage, Model, Moment, PageRequest
from tokensvc.operations.operation import KEY_OWNERS, KEY_READERS, Operation

State = Literal["waiting", "delivered", "failed"]
DeliveryId = Annotated[str, Field(pattern="^[1-9][0-9]{0,17}$", examples=["1"])]


class NoticeDelivery(Model):
    """A notice on its way to an endpoint."""

    id: DeliveryId
    endpoint: str
    account: AccountId | None = Field(description="The account of the endpoint.")
    notice: str = Field(description="The `webhook-id` of the notice.")
    event: str
    subject: str
    state: State
    created_at: Moment
    attempts: int
    tried_at: Moment | None
    next_at: Moment | None = Field(description="When it is tried again; null: never.")
    delivered_at: Moment | None
    status: int | None = Field(description="The status of the last response.")
    error: str | None = Field(description="Why the last attempt failed.")


class ListNoticeDeliveries(PageRequest):
    """Which deliveries are wanted."""

    account: AccountId | None = None
    endpoint: str | None = Field(None, max_length=40)
    event: str | None = Field(None, max_length=100)
    state: State | None = None


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
