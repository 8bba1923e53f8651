"""Capabilities, the names that the scope of a token may contain."""

from __future__ import annotations

from typing import Final, Literal

from tokensvc.operations.model import Capability as CapabilityName
from tokensvc.operations.model import Description, Model, Moment, Page, PageRequest
from tokensvc.operations.operation import ADMINS, KEY_READERS, Operation


class Capability(Model):
    """A capability."""

    name: str
    description: str
    created_at: Moment


class CapabilityRequest(Model):
    """Which capability."""

    name: CapabilityName


class CreateCapability(Model):
    """A new capability."""

    name: CapabilityName
    description: Description = ""


class DeletedCapability(Model):
    """A capability that is gone."""

    name: str
    state: Literal["deleted"] = "deleted"


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
        summary="List capabilities; with tokensvc:keys those that the own key holds.",
        needs=KEY_READERS,
        request=PageRequest,
        response=Page[Capability],
    ),
    Operation(
        name="capabilities.show",
        method="GET",
        path="/v1/capabilities/{name}",
        summary="Show one capability; with tokensvc:keys, one that the own key holds.",
        needs=KEY_READERS,
        request=CapabilityRequest,
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
