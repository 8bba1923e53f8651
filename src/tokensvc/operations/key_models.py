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
    Deleted,
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

Network = Annotated[
    str,
    Field(
        max_length=50,
        description="A network as CIDR, IPv4 or IPv6, or one address.",
        examples=["192.0.2.0/24"],
    ),
    check(parse_network),
]


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


Capabilities = Annotated[
    list[Capability],
    Field(
        min_length=1,
        max_length=500,
        description="What its tokens may do; with `tokensvc:keys` only what the caller's own key "
        "holds.",
    ),
]
Audiences = Annotated[
    list[Audience],
    Field(max_length=100, description="What its tokens may be for; empty: everything."),
]
Networks = Annotated[
    list[Network],
    Field(max_length=100, description="Where the key may be used; empty: everywhere."),
]
Metadata = Annotated[
    dict[str, Json],
    _check_json(check_metadata),
    Field(description="Notes of the owner, at most 4 KB of JSON. They enter no token."),
]
OwnClaims = Annotated[
    dict[str, Json],
    _check_json(check_own_claims),
    Field(
        description="Claims that stand in each of its tokens, at most 1 KB of JSON. Only "
        "`tokensvc:admin` sets them."
    ),
]
SelfRotation = Annotated[bool, Field(description="Whether the key may rotate itself.")]
Life = Annotated[
    Seconds | None,
    Field(
        description="How many seconds it works from now on; null: it never expires. "
        "`TOKENSVC_MAX_KEY_LIFE` limits what callers below `tokensvc:admin` may say."
    ),
]
TierOfKey = Annotated[
    TierName | None,
    Field(description="Its own tier; null: that of the account. Only `tokensvc:admin` sets it."),
]
PerMinute = Annotated[
    Limit | None, Field(description="Tokens a minute for this key; null: what the tier says.")
]
PerDay = Annotated[
    Limit | None, Field(description="Tokens a day (UTC) for this key; null: what the tier says.")
]
Grace = Annotated[
    int,
    Field(
        ge=0,
        le=36_600 * 86_400,
        description="How many seconds the old key still works; 0: not at all.",
    ),
]


class KeyFields(Model):
    """What can be said of a key, when it is made and later."""

    description: Description = ""
    audiences: Audiences = Field([])
    networks: Networks = Field([])
    metadata: Metadata = Field({})
    claims: OwnClaims = Field({})
    self_rotation: SelfRotation = True
    expires_in: Life = None
    tier: TierOfKey = None
    per_minute: PerMinute = None
    per_day: PerDay = None


class CreateKey(KeyFields):
    """A new key."""

    account: AccountId = Field(
        description="The account that owns it; with `tokensvc:keys` only the caller's."
    )
    name: Name
    capabilities: Capabilities


class ChangedKeyFields(Model):
    """What to change of a key; what is absent stays as it is. Lists are replaced as a whole."""

    name: Name = unset()
    description: Description = unset()
    capabilities: Capabilities = unset()
    audiences: Audiences = unset()
    networks: Networks = unset()
    metadata: Metadata = unset()
    claims: OwnClaims = unset()
    self_rotation: SelfRotation = unset()
    expires_in: Life = unset()
    tier: TierOfKey = unset()
    per_minute: PerMinute = unset()
    per_day: PerDay = unset()


class UpdateKey(ChangedKeyFields):
    """Which key, and what to change of it."""

    id: KeyId
    revoke_tokens: bool = Field(False, description="Also revoke the tokens that it has got so far.")


class EndKey(Reason):
    """Which key, and why."""

    id: KeyId


class RevokeKey(EndKey):
    """Which key, and whether the successors that it made itself are spared."""

    keep_successors: bool = Field(
        False, description="Whether the successors that the key made itself are spared."
    )


class RotateKey(Model):
    """Which key, and how long the old one still works."""

    id: KeyId
    grace: Grace = 86_400


class RotateSelf(Model):
    """How long the old key still works."""

    grace: Grace = 86_400


class DeletedKey(Model):
    """A key that is gone."""

    id: KeyId
    state: Deleted = "deleted"


class BatchItem(Model):
    """One key of a batch. `changes` goes with `update` alone."""

    id: KeyId
    changes: ChangedKeyFields | None = Field(
        None, description="What to change; it goes with `update` alone, which needs it."
    )


class BatchKeys(Model):
    """The same act on many keys."""

    act: Literal["disable", "enable", "revoke", "update"] = Field(
        description="What is done to each key: `disable`, `enable`, `revoke` or `update`."
    )
    items: list[BatchItem] = Field(
        min_length=1,
        max_length=MOST_IN_BATCH,
        description=f"The keys, {MOST_IN_BATCH:,} at most, and none twice.",
    )
    reason: str = Field(
        "",
        max_length=500,
        description="Why, for the audit trail; it goes with `disable` and `revoke` alone.",
    )


class BatchOutcome(Model):
    """What became of one key. `code` and `detail` say why it was refused."""

    id: KeyId
    done: bool = Field(description="Whether it was done.")
    state: State | None = Field(description="What the key is now; null: the caller was refused.")
    code: str | None = Field(
        description="The code that a single call would have been refused with; null: it was done."
    )
    detail: str | None = Field(description="Why it was refused, for people; null: it was done.")


class BatchResult(Model):
    """What became of each, in the order of the request."""

    items: list[BatchOutcome] = Field(description="The outcome of each key.")
