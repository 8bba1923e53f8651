"""Tiers, the named sets of limits."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from tokensvc.operations.model import (
    CreationMoment,
    Deleted,
    Description,
    Limit,
    ListPage,
    Model,
    NamedPageRequest,
    TierName,
    unset,
)
from tokensvc.operations.operation import ADMINS, READERS, Operation

KeyPerMinute = Annotated[Limit, Field(description="Tokens a minute for one key.")]
KeyPerDay = Annotated[Limit, Field(description="Tokens a day (UTC) for one key.")]
AccountPerMinute = Annotated[
    Limit, Field(description="Tokens a minute for all keys of an account together.")
]
AccountPerDay = Annotated[
    Limit, Field(description="Tokens a day (UTC) for all keys of an account together.")
]


class Tier(Model):
    """A named set of limits, each a number of tokens."""

    name: str = Field(description="What accounts and keys name as `tier`.")
    description: str = Field(description="What it is for, in words.")
    key_per_minute: KeyPerMinute
    key_per_day: KeyPerDay
    account_per_minute: AccountPerMinute
    account_per_day: AccountPerDay
    created_at: CreationMoment


class ListedTier(Tier):
    """A tier in a list. What tells its use is null unless `with_use` asks for it."""

    accounts: int | None = Field(description="How many accounts have it.")
    keys: int | None = Field(description="How many keys have it themselves.")


class ListTiers(NamedPageRequest):
    """Which tiers are wanted."""


class TierRequest(Model):
    """Which tier."""

    name: TierName


class CreateTier(Model):
    """A new tier."""

    name: TierName
    description: Description = ""
    key_per_minute: KeyPerMinute
    key_per_day: KeyPerDay
    account_per_minute: Limit | None = Field(
        None,
        description="Tokens a minute for all keys of an account together; null: ten times "
        "`key_per_minute`.",
    )
    account_per_day: Limit | None = Field(
        None,
        description="Tokens a day (UTC) for all keys of an account together; null: ten times "
        "`key_per_day`.",
    )


class UpdateTier(Model):
    """What to change; what is absent stays as it is."""

    name: TierName
    description: Description = unset()
    key_per_minute: KeyPerMinute = unset()
    key_per_day: KeyPerDay = unset()
    account_per_minute: AccountPerMinute = unset()
    account_per_day: AccountPerDay = unset()


class DeletedTier(Model):
    """A tier that is gone."""

    name: TierName
    state: Deleted = "deleted"


OPERATIONS: Final = (
    Operation(
        name="tiers.create",
        method="POST",
        path="/v1/tiers",
        summary="Create a tier.",
        needs=ADMINS,
        request=CreateTier,
        response=Tier,
        status=201,
        idempotent_by_key=True,
        has_version=True,
    ),
    Operation(
        name="tiers.list",
        method="GET",
        path="/v1/tiers",
        summary="List tiers.",
        needs=READERS,
        request=ListTiers,
        response=ListPage[ListedTier],
    ),
    Operation(
        name="tiers.show",
        method="GET",
        path="/v1/tiers/{name}",
        summary="Show one tier.",
        needs=READERS,
        request=TierRequest,
        response=Tier,
        has_version=True,
    ),
    Operation(
        name="tiers.update",
        method="PATCH",
        path="/v1/tiers/{name}",
        summary="Change a tier. The change holds from the next exchange on.",
        needs=ADMINS,
        request=UpdateTier,
        response=Tier,
        has_version=True,
    ),
    Operation(
        name="tiers.delete",
        method="DELETE",
        path="/v1/tiers/{name}",
        summary="Delete a tier that no account and no key has.",
        needs=ADMINS,
        request=TierRequest,
        response=DeletedTier,
    ),
)
