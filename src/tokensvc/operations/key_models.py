"""What goes in and comes out of the operations that make and change API keys."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from tokensvc.core.errors import InvalidInputError
from tokensvc.core.key_metadata import check_metadata, check_own_claims
from tokensvc.core.network import parse_network
from tokensvc.operations.key_reading import State
from tokensvc.operations.model import (
    AccountId,
    Audience,
    Capability,
    Description,
    Json,
    KeyId,
    Limit,
    Model,
    Name,
    Reason,
    Seconds,
    TierName,
    check,
    unset,
)

MOST_IN_BATCH: Final = 1000

Network = Annotated[str, Field(max_length=50, examples=["192.0.2.0/24"]), check(parse_network)]


def _check_json(rule: Any) -> AfterValidator:  # noqa: ANN401 - a function of core/key_metadata.py
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


class KeyFields(Model):
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


class CreateKey(KeyFields):
    """A new key."""

    account: AccountId
    name: Name
    capabilities: list[Capability] = Field(min_length=1, max_length=500)


class ChangedKeyFields(Model):
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


class UpdateKey(ChangedKeyFields):
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
    changes: ChangedKeyFields | None = None


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
