"""Tiers, the named sets of limits."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from tokensvc.operations.model import (
    Description,
    Limit,
    ListPage,
    Model,
    Moment,
    NamedPageRequest,
    TierName,
    unset,
)
from tokensvc.operations.operation import ADMINS, READERS, Operation


class Tier(Model):
    """A named set of limits, each a number of tokens."""

    name: str
    description: str
    key_per_minute: int
    key_per_day: int
    account_per_minute: int
    account_per_day: int
    created_at: Moment


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
    key_per_minute: Limit
    key_per_day: Limit
    account_per_minute: Limit | None = Field(None, description="Ten times a key's if absent.")
    account_per_day: Limit | None = Field(None, description="Ten times a key's if absent.")


class UpdateTier(Model):
    """What to change; what is absent stays as it is."""

    name: TierName
    description: Description = unset()
    key_per_minute: Limit = unset()
    key_per_day: Limit = unset()
    account_per_minute: Limit = unset()
    account_per_day: Limit = unset()


class DeletedTier(Model):
    """A tier that is gone."""

    name: str
    state: Literal["deleted"] = "deleted"


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
