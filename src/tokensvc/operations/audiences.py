"""Audiences, the services that tokens are for."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from tokensvc.core.algorithm import Algorithm
from tokensvc.core.audience import TokenType
from tokensvc.operations.model import Audience as AudienceName
from tokensvc.operations.model import (
    Description,
    ListPage,
    Model,
    Moment,
    NamedPageRequest,
    Seconds,
    unset,
)
from tokensvc.operations.operation import ADMINS, KEY_READERS, Operation

_TYP: Final = (
    "The header typ of its tokens. JWT is for libraries that refuse at+jwt; verifiers of tokensvc "
    "have to be told so."
)


class Audience(Model):
    """An audience."""

    name: str
    description: str
    token_ttl: int | None = Field(
        description="How many seconds its tokens live; null: the default of the service."
    )
    alg: Algorithm
    typ: TokenType = Field(description="The header typ of its tokens.")
    created_at: Moment


class ListedAudience(Audience):
    """An audience in a list. What tells its use is null unless `with_use` asks for it."""

    keys: int | None = Field(
        description="How many keys name it that are not revoked. Keys that name none may use all."
    )
    last_used_at: Moment | None = Field(
        description="When a key got its last token for it that was not followed by one for another."
    )
    counted_at: Moment | None = Field(
        description="When that was counted: of very many keys, only from time to time."
    )


class ListAudiences(NamedPageRequest):
    """Which audiences are wanted."""


class AudienceRequest(Model):
    """Which audience."""

    name: AudienceName


class CreateAudience(Model):
    """A new audience."""

    name: AudienceName
    description: Description = ""
    token_ttl: Seconds | None = Field(None, description="How many seconds its tokens live.")
    alg: Algorithm = Field("ES256", description="What signs its tokens.")
    typ: TokenType = Field("at+jwt", description=_TYP)


class UpdateAudience(Model):
    """What to change; what is absent stays as it is."""

    name: AudienceName
    description: Description = unset()
    token_ttl: Seconds | None = unset(description="Seconds; null: the default of the service.")
    alg: Algorithm = unset(description="What signs its tokens.")
    typ: TokenType = unset(description=_TYP)


class DeletedAudience(Model):
    """An audience that is gone."""

    name: str
    state: Literal["deleted"] = "deleted"


OPERATIONS: Final = (
    Operation(
        name="audiences.create",
        method="POST",
        path="/v1/audiences",
        summary="Create an audience.",
        needs=ADMINS,
        request=CreateAudience,
        response=Audience,
        status=201,
        idempotent_by_key=True,
        has_version=True,
    ),
    Operation(
        name="audiences.list",
        method="GET",
        path="/v1/audiences",
        summary="List audiences; with tokensvc:keys those that the caller's key may ask for.",
        needs=KEY_READERS,
        request=ListAudiences,
        response=ListPage[ListedAudience],
    ),
    Operation(
        name="audiences.show",
        method="GET",
        path="/v1/audiences/{name}",
        summary="Show one audience; with tokensvc:keys, one that the caller's key may ask for.",
        needs=KEY_READERS,
        request=AudienceRequest,
        response=Audience,
        has_version=True,
    ),
    Operation(
        name="audiences.update",
        method="PATCH",
        path="/v1/audiences/{name}",
        summary="Change an audience. Live tokens keep their life.",
        needs=ADMINS,
        request=UpdateAudience,
        response=Audience,
        has_version=True,
    ),
    Operation(
        name="audiences.delete",
        method="DELETE",
        path="/v1/audiences/{name}",
        summary="Delete an audience. Its live tokens stay good until they expire.",
        needs=ADMINS,
        request=AudienceRequest,
        response=DeletedAudience,
    ),
)
