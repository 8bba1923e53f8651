"""How keys are used."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from tokensvc.operations.model import KeyId, KeyIds, ListPage, Model, Moment, PageRequest
from tokensvc.operations.operation import KEY_READERS, Operation

UsageBegin = Annotated[Moment, Field(description="From when on exchanges are told.")]
UsageEnd = Annotated[Moment, Field(description="Up to when exchanges are told: the present.")]


class LastUse(Model):
    """The last use of a key: it got a token, or called the service itself."""

    at: Moment = Field(description="When that was, which may be told some seconds late.")
    network: str = Field(
        description="The client's network, a /24 or /48, or `unknown`; never its address."
    )
    audience: str = Field(description="What the token was for; `tokensvc` for a call.")


class HourOfUse(Model):
    """An hour (UTC) in which something happened."""

    hour: Moment = Field(description="The beginning of the hour.")
    issued: int = Field(description="How many tokens were issued.")
    refused: dict[str, int] = Field(description="How many exchanges were refused, by reason.")


class WindowUse(Model):
    """What was given out in the minute or the day (UTC) that is running."""

    used: int = Field(description="How many tokens were given out. It is exact.")
    limit: int = Field(description="How many tokens may be given out in the window.")
    ends_at: Moment = Field(description="When the next window begins, and counting starts again.")


class Usage(Model):
    """The use of a key. The last seconds are not in it yet."""

    id: KeyId
    last_used: LastUse | None = Field(description="Its last use; null: it was never used.")
    hours: list[HourOfUse] = Field(description="Its exchanges by the hour, oldest first.")
    since: UsageBegin
    until: UsageEnd


class KeyUsage(Usage):
    """The use of a key, and of its limits, which it shares with its successor."""

    minute: WindowUse = Field(description="This minute.")
    day: WindowUse = Field(description="This day (UTC).")


class UsageRequest(Model):
    """Which key, and how far back."""

    key: KeyId
    since: int = Field(
        48 * 3600, ge=1, le=366 * 86_400, description="How many seconds to look back."
    )


class UsageOfKeysRequest(PageRequest):
    """Which keys, and how far back. Keys that the caller does not see are left out."""

    ids: KeyIds
    since: int = Field(
        48 * 3600, ge=1, le=366 * 86_400, description="How many seconds to look back."
    )


OPERATIONS: Final = (
    Operation(
        name="usage.show",
        method="GET",
        path="/v1/usage",
        summary="Show how many tokens a key got, and how many requests were refused, by the hour.",
        needs=KEY_READERS,
        request=UsageRequest,
        response=KeyUsage,
    ),
    Operation(
        name="usage.list",
        method="GET",
        path="/v1/usage/keys",
        summary="Show how several keys were used, by the hour.",
        needs=KEY_READERS,
        request=UsageOfKeysRequest,
        response=ListPage[Usage],
    ),
)
