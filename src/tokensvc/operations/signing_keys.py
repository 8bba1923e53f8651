"""Signing keys."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from tokensvc.core.identifier import KID_PATTERN, parse_kid
from tokensvc.core.keyring import Phase
from tokensvc.operations.model import (
    CreationMoment,
    Json,
    ListPage,
    Model,
    Moment,
    PageRequest,
    Reason,
    SignedBy,
    check,
)
from tokensvc.operations.operation import ADMINS, READERS, Operation

Kid = Annotated[
    str,
    Field(
        json_schema_extra={"pattern": f"^{KID_PATTERN}$"},
        description="The id of a signing key: its thumbprint (RFC 7638).",
        examples=["mKzNCuhhnDF_gHWGSN7uEWWWKmSc7dQVkPzBVLwmTkM"],
    ),
    check(parse_kid),
]


class SigningKey(Model):
    """A signing key. The private key is not in it."""

    kid: Kid
    alg: SignedBy
    phase: Phase = Field(
        description="`pending`: it has not begun to sign. `active`: it signs. `retiring`: another "
        "key signs, and it stays published. `expired`: it is not published any more. `revoked`."
    )
    age_seconds: int = Field(description="How many seconds ago it was created.")
    created_at: CreationMoment
    active_at: Moment | None = Field(description="When it begins to sign; null: the standby.")
    superseded_at: Moment | None = Field(
        description="When the next key of its algorithm takes over; null: none is planned to."
    )
    revoked_at: Moment | None = Field(description="When it was revoked; null: it is not.")
    safe_to_activate_at: Moment = Field(description="From when on every cache has it.")
    ready_at: Moment | None = Field(
        description="When a rotation can let it sign at the soonest; null: it has begun to, or "
        "cannot. Every cache has it then, and no other key of its algorithm is retiring."
    )
    safe_to_remove_at: Moment | None = Field(
        description="When its last token has expired for everybody; null: no key is planned to "
        "take over from it."
    )
    live_tokens: int = Field(
        description="About how many live tokens it has signed. If several algorithms sign, it is "
        "the most that it can be: exchanges are counted for all algorithms together."
    )


class SigningKeyRequest(Model):
    """Which signing key."""

    kid: Kid


class PublicKey(Model):
    """The public half of a signing key."""

    kid: Kid
    jwk: dict[str, Json] = Field(description="The public key as a JSON Web Key (RFC 7517).")
    pem: str = Field(description="The public key as PEM.")


class RotateSigningKey(Model):
    """Which algorithm's key is replaced, and how urgent that is."""

    alg: SignedBy = "ES256"
    now: bool = Field(
        False,
        description="Whether the next key takes over at once, which is refused unless every cache "
        "has it.",
    )
    force: bool = Field(
        False,
        description="With `now`: at once, even if verifiers will refuse good tokens for a while.",
    )


class Rotation(Model):
    """What a rotation has planned. All is null if another process has rotated just now."""

    kid: Kid | None = Field(
        description="The key that signs next; null: keys were made, and none of those from before "
        "takes over."
    )
    active_at: Moment | None = Field(
        description="When the next key begins to sign; null: no key was planned to."
    )
    unsafe_for_seconds: int | None = Field(
        description="How many seconds some verifiers may refuse good tokens."
    )
    new_signer: bool = Field(description="Whether these are the first keys of the algorithm.")
    new_standby: bool = Field(description="Whether a standby was made.")


class RevokeSigningKey(Reason):
    """Which signing key, and why."""

    kid: Kid


class RevokedSigningKey(Model):
    """A signing key that is revoked, and which key signs instead."""

    kid: Kid
    state: Annotated[Literal["revoked"], Field(description="Always `revoked`.")] = "revoked"
    successor: Kid | None = Field(
        description="The key that takes over; null: none had to, or a new one was made."
    )


class ImportSigningKey(Model):
    """A private key, as PEM or as JWK: RSA (2048 bits or more), P-256 or Ed25519."""

    private_key: str = Field(
        min_length=1, max_length=16_000, repr=False, description="The text of the PEM or the JWK."
    )


class ImportedSigningKey(Model):
    """The key that was taken in as the standby."""

    kid: Kid
    alg: SignedBy
    phase: Annotated[Literal["pending"], Field(description="Always `pending`.")] = "pending"


class PrivateKey(Model):
    """The private half of a signing key. Whoever can read it can sign tokens."""

    kid: Kid
    pem: str = Field(repr=False, description="The private key as PEM.")


OPERATIONS: Final = (
    Operation(
        name="signing-keys.list",
        method="GET",
        path="/v1/signing-keys",
        summary="List the signing keys, and when each is safe to activate and to remove.",
        needs=READERS,
        request=PageRequest,
        response=ListPage[SigningKey],
    ),
    Operation(
        name="signing-keys.rotate",
        method="POST",
        path="/v1/signing-keys/rotate",
        summary="Let the next key take over as soon as every cache has it.",
        needs=ADMINS,
        fresh=True,
        request=RotateSigningKey,
        response=Rotation,
    ),
    Operation(
        name="signing-keys.import",
        method="POST",
        path="/v1/signing-keys/import",
        summary="Take in a private key as the standby.",
        needs=ADMINS,
        fresh=True,
        request=ImportSigningKey,
        response=ImportedSigningKey,
        status=201,
    ),
    Operation(
        name="signing-keys.show",
        method="GET",
        path="/v1/signing-keys/{kid}",
        summary="Show the public half of a signing key, as JWK and as PEM.",
        needs=READERS,
        request=SigningKeyRequest,
        response=PublicKey,
    ),
    Operation(
        name="signing-keys.revoke",
        method="POST",
        path="/v1/signing-keys/{kid}/revoke",
        summary="Revoke a signing key that may be in wrong hands, with every token that it signed.",
        needs=ADMINS,
        fresh=True,
        request=RevokeSigningKey,
        response=RevokedSigningKey,
    ),
    Operation(
        name="signing-keys.export",
        method="POST",
        path="/v1/signing-keys/{kid}/export",
        summary="Hand out the private half of a signing key. The audit trail says so.",
        needs=ADMINS,
        fresh=True,
        request=SigningKeyRequest,
        response=PrivateKey,
    ),
)
