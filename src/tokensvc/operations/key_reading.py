"""API keys as they are shown, and the operations that show them.

They stand alone because `tokensvc key list` should answer quickly: most of its time is for imports.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal

from pydantic import Field

from tokensvc.operations.model import (
    MOST_IDS,
    AccountId,
    Audience,
    Capability,
    CreationMoment,
    Json,
    KeyId,
    KeyIds,
    ListPage,
    Model,
    Moment,
    PageRequest,
    Replayed,
)
from tokensvc.operations.operation import KEY_READERS, Operation

State = Literal["active", "disabled", "revoked", "expired"]


class Key(Model):
    """An API key. The key itself is stored nowhere; `hint` is its prefix and its end."""

    id: KeyId
    account: AccountId = Field(description="The account that owns it.")
    name: str = Field(description="What people call it.")
    description: str = Field(description="What it is for, in more words.")
    hint: str = Field(description="The beginning and the end of the API key, to recognise it by.")
    state: State = Field(
        description="`active`; `disabled`: it gets no tokens until it is enabled; `revoked`: for "
        "good; `expired`: its time is over."
    )
    capabilities: list[str] = Field(description="What its tokens may do.")
    audiences: list[str] = Field(description="What its tokens may be for; empty: everything.")
    networks: list[str] = Field(description="Where it may be used; empty: everywhere.")
    metadata: dict[str, Json] = Field(description="Notes of the owner. They enter no token.")
    claims: dict[str, Json] = Field(description="Claims that stand in each of its tokens.")
    self_rotation: bool = Field(description="Whether the key may rotate itself.")
    created_at: CreationMoment
    expires_at: Moment | None = Field(description="When it expires; null: never.")
    disabled_at: Moment | None = Field(description="When it was disabled; null: it is not.")
    revoked_at: Moment | None = Field(description="When it was revoked; null: it is not.")
    tier: str | None = Field(description="Its own tier; null: that of the account.")
    per_minute: int = Field(description="Tokens a minute: its own limit, else that of its tier.")
    per_day: int = Field(description="Tokens a day (UTC): its own limit, else that of its tier.")
    own_per_minute: int | None = Field(
        description="Tokens a minute that were set for the key itself; null: none were."
    )
    own_per_day: int | None = Field(
        description="Tokens a day that were set for the key itself; null: none were."
    )
    last_used_at: Moment | None = Field(
        description="When it last got a token or called the service, which may be told some "
        "seconds late; null: never."
    )
    last_used_network: str | None = Field(
        description="The client's network then, a /24 or /48; null: it was never used."
    )
    last_used_audience: str | None = Field(
        description="What that token was for, `tokensvc` for a call; null: it was never used."
    )
    predecessor: KeyId | None = Field(
        description="The key that this one took over from; null: none."
    )
    successor: KeyId | None = Field(
        description="The key that takes over from this one; null: none."
    )


class NewKey(Key):
    """A key that was just made. `key` is shown this once."""

    shown_once: ClassVar[str | None] = "key"

    key: str | None = Field(
        description="The API key itself; null if the request was repeated after ten minutes."
    )
    replayed: Replayed = False


class KeyRequest(Model):
    """Which key."""

    id: KeyId


class ListKeys(PageRequest):
    """Which keys are wanted."""

    ids: KeyIds | None = Field(
        None, description=f"Only keys with these ids: {MOST_IDS} at most, with commas between them."
    )
    id_prefix: str | None = Field(
        None, min_length=1, max_length=40, description="Only keys whose id begins with this."
    )
    account: AccountId | None = Field(None, description="Only keys of this account.")
    state: State | None = Field(None, description="Only keys in this state.")
    capability: Capability | None = Field(None, description="Only keys that hold this capability.")
    audience: Audience | None = Field(
        None, description="Only keys whose tokens may be for this audience."
    )
    name: str | None = Field(
        None, min_length=1, max_length=200, description="Only keys with this in their name or hint."
    )
    created_before: Moment | None = Field(
        None, description="Only keys that were created before this moment."
    )
    used_before: Moment | None = Field(
        None, description="Only keys that were not used since this moment, or never."
    )
    expires_before: Moment | None = Field(
        None, description="Only keys that expire before this moment."
    )
    never_expires: bool | None = Field(
        None, description="true: only keys that never expire; false: only those that do."
    )
    replaced: bool | None = Field(
        None, description="true: only keys that have a successor; false: only those without."
    )
    metadata: dict[str, str] = Field(
        {}, description="Only keys with this note: `metadata.team=x` for the note `team`."
    )
    sort: Literal[
        "created_at", "-created_at", "name", "-name", "last_used_at", "-last_used_at",
        "expires_at", "-expires_at",
    ] = Field(
        "created_at", description="The order of the list; with `-` it is reversed."
    )  # fmt: skip


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
