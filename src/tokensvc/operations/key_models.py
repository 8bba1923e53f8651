"""What goes in and comes out of the operations on API keys."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from tokensvc.core.errors import InvalidInputError
from tokensvc.core.key_terms import check_metadata, check_own_claims
from tokensvc.core.network import parse_network
from tokensvc.operations.model import (
    AccountId,
    Audience,
    Capability,
    Description,
    Json,
    KeyId,
    KeyIds,
    Limit,
    Model,
    Moment,
    Name,
    PageRequest,
    Reason,
    Seconds,
    TierName,
    check,
    unset,
)

MOST_IN_BATCH: Final = 1000

State = Literal["active", "disabled", "revoked", "expired"]
Network = Annotated[str, Field(max_length=50, examples=["192.0.2.0/24"]), check(parse_network)]


def _check_json(rule: Any) -> AfterValidator:  # noqa: ANN401 - a function of core/key_terms.py
    def validate(value: dict[str, Json]) -> dict[str, Json]:
        try:
            rule(value)
        except InvalidInputError as error:
            raise PydanticCustomError(
                "invalid_input", "{message}", {"message": error.message}
            ) from None
        return value

    return AfterValidator(validate)


Metadata = Annotated[dict[str, Json], _check_json(check_metadata)]
OwnClaims = Annotated[dict[str, Json], _check_json(check_own_claims)]


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


class KeyTerms(Model):
    """What can be said of a key, when it is made and later."""

    description: Description = ""
    audiences: list[Audience] = Field([], max_length=100, description="Empty: everything.")
    networks: list[Network] = Field([], max_length=100, description="Empty: everywhere.")
    metadata: Metadata = Field({}, description="Notes of the owner, 4 KB of JSON.")
    claims: OwnClaims = Field({}, description="1 KB of JSON. Only tokensvc:admin sets it.")
    self_rotation: bool = Field(True, description="Whether the key may rotate itself.")
    expires_in: Seconds | None = Field(None, description="Seconds from now; null: never.")
    tier: TierName | None = Field(None, description="null: the tier of the account.")
    per_minute: Limit | None = Field(None, description="null: what the tier says.")
    per_day: Limit | None = Field(None, description="null: what the tier says.")


class CreateKey(KeyTerms):
    """A new key."""

    account: AccountId
    name: Name
    capabilities: list[Capability] = Field(min_length=1, max_length=500)


class ListKeys(PageRequest):
    """Which keys are wanted."""

    ids: KeyIds | None = None
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
    metadata: dict[str, str] = Field({}, description="`metadata.team=x`: notes of that value.")
    sort: Literal[
        "created_at", "-created_at", "name", "-name", "last_used_at", "-last_used_at",
        "expires_at", "-expires_at",
    ] = "created_at"  # fmt: skip


class KeyChanges(Model):
    """What to change of a key; what is absent stays as it is. Lists are replaced as a whole."""

    name: Name = unset()
    description: Description = unset()
    capabilities: list[Capability] = unset(min_length=1, max_length=500)
    audiences: list[Audience] = unset(max_length=100)
    networks: list[Network] = unset(max_length=100)
    metadata: Metadata = unset()
    claims: OwnClaims = unset()
    self_rotation: bool = unset()
    expires_in: Seconds | None = unset(description="Seconds from now; null: never.")
    tier: TierName | None = unset(description="null: the tier of the account.")
    per_minute: Limit | None = unset(description="null: what the tier says.")
    per_day: Limit | None = unset(description="null: what the tier says.")


class UpdateKey(KeyChanges):
    """Which key, and what to change of it."""

    id: KeyId
    revoke_tokens: bool = Field(False, description="Also revoke the tokens that it has got so far.")


class EndKey(Reason):
    """Which key, and why."""

    id: KeyId


class RevokeKey(EndKey):
    """Which key, and whether the successors that it made itself are spared."""

    keep_successors: bool = False


class RotateKey(Model):
    """Which key, and how long the old one still works."""

    id: KeyId
    grace: int = Field(86_400, ge=0, le=36_600 * 86_400, description="Seconds; 0: not at all.")


class RotateSelf(Model):
    """How long the old key still works."""

    grace: int = Field(86_400, ge=0, le=36_600 * 86_400, description="Seconds; 0: not at all.")


class DeletedKey(Model):
    """A key that is gone."""

    id: KeyId
    state: Literal["deleted"] = "deleted"


class BatchItem(Model):
    """One key of a batch. `changes` goes with `update` alone."""

    id: KeyId
    changes: KeyChanges | None = None


class BatchKeys(Model):
    """The same act on many keys."""

    act: Literal["disable", "enable", "revoke", "update"]
    items: list[BatchItem] = Field(min_length=1, max_length=MOST_IN_BATCH)
    reason: str = Field("", max_length=500, description="Why, for the audit trail.")


class BatchOutcome(Model):
    """What became of one key. `code` and `detail` say why it was refused."""

    id: KeyId
    done: bool
    state: State | None
    code: str | None
    detail: str | None


class BatchResult(Model):
    """What became of each, in the order of the request."""

    items: list[BatchOutcome]
