"""Capabilities, the names that the scope of a token may contain."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from tokensvc.operations.model import Capability as CapabilityName
from tokensvc.operations.model import (
    CreationMoment,
    Deleted,
    Description,
    ListPage,
    Model,
    Moment,
    NamedPageRequest,
)
from tokensvc.operations.operation import ADMINS, KEY_READERS, Operation


class Capability(Model):
    """A capability."""

    name: str = Field(description="What stands in the `scope` of tokens.")
    description: str = Field(description="What it allows, in words.")
    created_at: CreationMoment


class ListedCapability(Capability):
    """A capability in a list."""

    keys: int | None = Field(
        description="How many keys hold it that are not revoked; null unless `with_use` asks."
    )
    counted_at: Moment | None = Field(
        description="When they were counted, very many only from time to time; null as `keys` is."
    )


class ListCapabilities(NamedPageRequest):
    """Which capabilities are wanted."""


class CapabilityRequest(Model):
    """Which capability."""

    name: CapabilityName


class CreateCapability(Model):
    """A new capability."""

    name: CapabilityName
    description: Description = ""


class UpdateCapability(Model):
    """What it allows, in words. The name stays."""

    name: CapabilityName
    description: Description


class DeletedCapability(Model):
    """A capability that is gone."""

    name: CapabilityName
    state: Deleted = "deleted"


OPERATIONS: Final = (
    Operation(
        name="capabilities.create",
        method="POST",
        path="/v1/capabilities",
        summary="Create a capability.",
        needs=ADMINS,
        request=CreateCapability,
        response=Capability,
        status=201,
        idempotent_by_key=True,
        has_version=True,
    ),
    Operation(
        name="capabilities.list",
        method="GET",
        path="/v1/capabilities",
        summary="List capabilities; with tokensvc:keys those that the caller's key holds.",
        needs=KEY_READERS,
        request=ListCapabilities,
        response=ListPage[ListedCapability],
    ),
    Operation(
        name="capabilities.show",
        method="GET",
        path="/v1/capabilities/{name}",
        summary="Show one capability; with tokensvc:keys, one that the caller's key holds.",
        needs=KEY_READERS,
        request=CapabilityRequest,
        response=Capability,
        has_version=True,
    ),
    Operation(
        name="capabilities.update",
        method="PATCH",
        path="/v1/capabilities/{name}",
        summary="Change the description of a capability.",
        needs=ADMINS,
        request=UpdateCapability,
        response=Capability,
        has_version=True,
    ),
    Operation(
        name="capabilities.delete",
        method="DELETE",
        path="/v1/capabilities/{name}",
        summary="Delete a capability that no usable key holds.",
        needs=ADMINS,
        request=CapabilityRequest,
        response=DeletedCapability,
    ),
)
