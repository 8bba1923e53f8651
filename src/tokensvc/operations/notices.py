"""Notices: the events of the last 30 days, whether anybody was told of them or not."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from tokensvc.operations.model import AccountId, Json, ListPage, Model, Moment, PageRequest
from tokensvc.operations.operation import KEY_READERS, Operation


class Notice(Model):
    """An event. `number` counts the events of its subject, from 1."""

    id: str
    at: Moment
    event: str
    account: AccountId | None = Field(description="Whose it is; null: of the service itself.")
    subject: str
    number: int
    detail: dict[str, Json]


class ListNotices(PageRequest):
    """Which events are wanted."""

    account: AccountId | None = None
    event: str | None = Field(None, max_length=100)
    subject: str | None = Field(None, max_length=300)
    since: Moment | None = None


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
