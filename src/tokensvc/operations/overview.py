"""What is going on: exchanges by the hour, and how many keys need a look."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from tokensvc.operations.model import Model, Moment
from tokensvc.operations.operation import KEY_READERS, Operation
from tokensvc.operations.usage import HourOfUse


class KeyCounts(Model):
    """How many keys there are. All but the first five count only keys that are active."""

    total: int
    active: int
    disabled: int
    revoked: int
    expired: int
    expiring: int = Field(description="They expire within 30 days.")
    endless: int = Field(description="They never expire.")
    idle: int = Field(description="They were not used for 90 days.")
    powerful: int = Field(description="They hold tokensvc:admin.")
    replaced: int = Field(description="A successor took over, and they are not used any more.")


class ThingCounts(Model):
    """How many there are of what is not of one account."""

    accounts: int
    capabilities: int
    audiences: int
    revocations: int = Field(description="In force.")


CountMoment = Annotated[
    Moment, Field(description="When the keys were counted; if very many, from time to time.")
]


class Overview(Model):
    """What is going on. The last seconds are not in it yet."""

    hours: list[HourOfUse] = Field(description="Of all keys together, oldest first.")
    keys: KeyCounts
    keys_counted_at: CountMoment
    things: ThingCounts | None = Field(description="null with tokensvc:keys.")
    since: Moment
    until: Moment


class OverviewRequest(Model):
    """How far back."""

    since: int = Field(86_400, ge=1, le=31 * 86_400, description="How many seconds back.")


OPERATIONS: Final = (
    Operation(
        name="overview.show",
        method="GET",
        path="/v1/overview",
        summary="Show exchanges by the hour and how many keys need a look; with tokensvc:keys "
        "those of the caller's account.",
        needs=KEY_READERS,
        request=OverviewRequest,
        response=Overview,
    ),
)
