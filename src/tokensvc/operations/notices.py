"""Notices: the events of the last 30 days, whether anybody was told of them or not."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from tokensvc.operations.model import AccountId, Json, ListPage, Model, Moment, PageRequest
from tokensvc.operations.operation import KEY_READERS, Operation


class Notice(Model):
    """An event. `number` counts the events of its subject, from 1."""

    id: str = Field(description="Its id, which is the `webhook-id` of its deliveries.")
    at: Moment = Field(description="When it happened.")
    event: str = Field(description="What has happened, like `key.revoked`.")
    account: AccountId | None = Field(description="Whose it is; null: of the service itself.")
    subject: str = Field(description="The id or the name of what it has happened to.")
    number: int = Field(description="Its number among the events of this subject, from 1.")
    detail: dict[str, Json] = Field(
        description="What else is to be known, which depends on `event`; never a secret."
    )


class ListNotices(PageRequest):
    """Which events are wanted."""

    account: AccountId | None = Field(None, description="Only events of this account.")
    event: str | None = Field(None, max_length=100, description="Only events with this name.")
    subject: str | None = Field(
        None, max_length=300, description="Only what has happened to this id or name."
    )
    since: Moment | None = Field(None, description="Only events of this moment and later.")


OPERATIONS: Final = (
    Operation(
        name="notices.list",
        method="GET",
        path="/v1/notices",
        summary="List events, newest first; with tokensvc:keys those of the caller's account.",
        needs=KEY_READERS,
        request=ListNotices,
        response=ListPage[Notice],
    ),
)
