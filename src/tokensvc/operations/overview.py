"""What is going on: exchanges by the hour, and how many keys need a look."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from tokensvc.operations.model import Model, Moment
from tokensvc.operations.operation import KEY_READERS, Operation
from tokensvc.operations.usage import HourOfUse, UsageBegin, UsageEnd


class KeyCounts(Model):
    """How many keys there are. All but the first five count only keys that are active."""

    total: int = Field(description="All keys that are not deleted.")
    active: int = Field(description="Keys that get tokens, unless their account is suspended.")
    disabled: int = Field(description="Keys that get no tokens until they are enabled.")
    revoked: int = Field(description="Keys that were revoked for good.")
    expired: int = Field(description="Keys whose time is over.")
    expiring: int = Field(description="Keys that expire within 30 days.")
    endless: int = Field(description="Keys that never expire.")
    idle: int = Field(
        description="Keys that are older than 90 days and were not used in the last 90 days."
    )
    powerful: int = Field(description="Keys that hold `tokensvc:admin`.")
    replaced: int = Field(description="Keys that have a successor and were not used for a day.")


class ThingCounts(Model):
    """How many there are of what is not of one account."""

    accounts: int = Field(description="How many accounts there are.")
    capabilities: int = Field(description="How many capabilities there are.")
    audiences: int = Field(description="How many audiences there are.")
    revocations: int = Field(description="How many revocations are in force.")


CountMoment = Annotated[
    Moment, Field(description="When the keys were counted; if very many, from time to time.")
]


class Overview(Model):
    """What is going on. The last seconds are not in it yet."""

    hours: list[HourOfUse] = Field(
        description="Exchanges by the hour, of all keys that the caller sees, oldest first."
    )
    keys: KeyCounts = Field(
        description="How many keys there are; with `tokensvc:keys` those of the caller's account."
    )
    keys_counted_at: CountMoment
    things: ThingCounts | None = Field(
        description="How many other things there are; null with `tokensvc:keys`."
    )
    since: UsageBegin
    until: UsageEnd


class OverviewRequest(Model):
    """How far back."""

    since: int = Field(86_400, ge=1, le=31 * 86_400, description="How many seconds to look back.")


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
