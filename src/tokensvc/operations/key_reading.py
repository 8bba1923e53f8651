"""API keys as they are shown, and the operations that show them.

They stand alone because `tokensvc key list` should answer quickly: most of its time is for imports.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal

from pydantic import Field

from tokensvc.operations.model import (
    AccountId,
    Audience,
    Capability,
    Json,
    KeyId,
    KeyIds,
    ListPage,
    Model,
    Moment,
    PageRequest,
)
from tokensvc.operations.operation import KEY_READERS, Operation

State = Literal["active", "disabled", "revoked", "expired"]


class Key(Model):
    """An API key. The key itself is stored nowhere; `hint` is its prefix and its end."""

    id: KeyId
    account: AccountId
    name: str
    description: str
    hint: str
    state: State
    capabilities: list[str] = Field(description="What its tokens may do.")
    audiences: list[str] = Field(description="What its tokens may be for; empty: everything.")
    networks: list[str] = Field(description="Where it may be used; empty: everywhere.")
    metadata: dict[str, Json] = Field(description="Notes of the owner. They enter no token.")
    claims: dict[str, Json] = Field(description="Claims that stand in each of its tokens.")
    self_rotation: bool = Field(description="Whether the key may rotate itself.")
    created_at: Moment
    expires_at: Moment | None
    disabled_at: Moment | None
    revoked_at: Moment | None
    tier: str | None
    per_minute: int = Field(description="Tokens a minute: its own limit, else that of its tier.")
    per_day: int = Field(description="Tokens a day (UTC): its own limit, else that of its tier.")
    own_per_minute: int | None = Field(description="What was set for the key itself.")
    own_per_day: int | None = Field(description="What was set for the key itself.")
    last_used_at: Moment | None
    last_used_network: str | None
    last_used_audience: str | None
    predecessor: KeyId | None = Field(description="The key that this one took over from.")
    successor: KeyId | None = Field(description="The key that takes over from this one.")


class NewKey(Key):
    """A key that was just made. `key` is shown this once."""

    shown_once: ClassVar[str | None] = "key"

    key: str | None = Field(
        description="The API key itself. null if the request was repeated after ten minutes."
    )
    replayed: bool = Field(False, description="Whether this is the answer to an earlier request.")


class KeyRequest(Model):
    """Which key."""

    id: KeyId


class ListKeys(PageRequest):
    """Which keys are wanted."""

    ids: KeyIds | None = None
    id_prefix: str | None = Field(
        None, min_length=1, max_length=40, description="The beginning of the id."
    )
    account: AccountId | None = None
    state: State | None = None
    capability: Capability | None = None
    audience: Audience | None = None
    name: str | None = Field(
        None, min_length=1, max_length=200, description="A part of the name, or of the hint."
    )
    created_before: Moment | None = None
    used_before: Moment | None = Field(None, description="Also keys that were never used.")
    expires_before: Moment | None = None
    never_expires: bool | None = Field(None, description="Whether it works without an end.")
    replaced: bool | None = Field(None, description="Whether a successor took over.")
    metadata: dict[str, str] = Field({}, description="`metadata.team=x`: notes of that value.")
    sort: Literal[
        "created_at", "-created_at", "name", "-name", "last_used_at", "-last_used_at",
        "expires_at", "-expires_at",
    ] = "created_at"  # fmt: skip


LIST: Final = Operation(
    name="keys.list",
    method="GET",
    path="/v1/keys",
    summary="List API keys.",
    needs=KEY_READERS,
    request=ListKeys,
    response=ListPage[Key],
)
SHOW: Final = Operation(
    name="keys.show",
    method="GET",
    path="/v1/keys/{id}",
    summary="Show one API key.",
    needs=KEY_READERS,
    request=KeyRequest,
    response=Key,
    has_version=True,
)
OPERATIONS: Final = (LIST, SHOW)
