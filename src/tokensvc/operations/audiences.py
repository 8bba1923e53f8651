"""Audiences, the services that tokens are for."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from tokensvc.core.audience import TokenType
from tokensvc.operations.model import Audience as AudienceName
from tokensvc.operations.model import (
    CreationMoment,
    Deleted,
    Description,
    ListPage,
    Model,
    Moment,
    NamedPageRequest,
    Seconds,
    SignedBy,
    unset,
)
from tokensvc.operations.operation import ADMINS, KEY_READERS, Operation

Life = Annotated[
    Seconds | None,
    Field(
        description="How many seconds its tokens live at most; null: what "
        "`TOKENSVC_TOKEN_TTL` says."
    ),
]
Typ = Annotated[
    TokenType,
    Field(
        description="The header `typ` of its tokens. `JWT` is for libraries that refuse `at+jwt`; "
        "verifiers of tokensvc have to be told so."
    ),
]


class Audience(Model):
    """An audience."""

    name: str = Field(description="What a request for a token names as `audience`.")
    description: str = Field(description="What it is, in words.")
    token_ttl: int | None = Field(
        description="How many seconds its tokens live at most; null: what "
        "`TOKENSVC_TOKEN_TTL` says."
    )
    alg: SignedBy
    typ: Typ
    created_at: CreationMoment


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
    token_ttl: Life = None
    alg: SignedBy = "ES256"
    typ: Typ = "at+jwt"


class UpdateAudience(Model):
    """What to change; what is absent stays as it is."""

    name: AudienceName
    description: Description = unset()
    token_ttl: Life = unset()
    alg: SignedBy = unset()
    typ: Typ = unset()


class DeletedAudience(Model):
    """An audience that is gone."""

    name: AudienceName
    state: Deleted = "deleted"


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
