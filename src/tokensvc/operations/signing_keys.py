"""Signing keys."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from tokensvc.core.algorithm import Algorithm
from tokensvc.core.identifier import KID_PATTERN, parse_kid
from tokensvc.core.keyring import Phase
from tokensvc.operations.model import Json, ListPage, Model, Moment, PageRequest, Reason, check
from tokensvc.operations.operation import ADMINS, READERS, Operation

Kid = Annotated[
    str,
    Field(
        json_schema_extra={"pattern": f"^{KID_PATTERN}$"},
        description="RFC 7638.",
        examples=["mKzNCuhhnDF_gHWGSN7uEWWWKmSc7dQVkPzBVLwmTkM"],
    ),
    check(parse_kid),
]


class SigningKey(Model):
    """A signing key. The private key is not in it."""

    kid: Kid
    alg: Algorithm
    phase: Phase
    age_seconds: int
    created_at: Moment
    active_at: Moment | None = Field(description="When it begins to sign; null: the standby.")
    superseded_at: Moment | None = Field(
        description="When the next key of its algorithm takes over; null: none is planned to."
    )
    revoked_at: Moment | None
    safe_to_activate_at: Moment
    ready_at: Moment | None = Field(
        description="When a rotation can let it sign at the soonest, if it has not begun to. "
        "Every cache has it then, and no other key of its algorithm is retiring."
    )
    safe_to_remove_at: Moment | None
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
    jwk: dict[str, Json]
    pem: str


class RotateSigningKey(Model):
    """Which algorithm's key is replaced, and how urgent that is."""

    alg: Algorithm = "ES256"
    now: bool = Field(False, description="At once, if every cache already has the next key.")
    force: bool = Field(
        False, description="With `now`: even if verifiers will refuse good tokens for a while."
    )


class Rotation(Model):
    """What a rotation has planned. All is null if another process has rotated just now."""

    kid: Kid | None = Field(description="The key that signs next.")
    active_at: Moment | None
    unsafe_for_seconds: int | None = Field(
        description="How long some verifiers may refuse good tokens."
    )
    new_signer: bool = Field(description="Whether these are the first keys of the algorithm.")
    new_standby: bool


class RevokeSigningKey(Reason):
    """Which signing key, and why."""

    kid: Kid


class RevokedSigningKey(Model):
    """A signing key that is revoked, and which key signs instead."""

    kid: Kid
    state: Literal["revoked"] = "revoked"
    successor: Kid | None


class ImportSigningKey(Model):
    """A private key, as PEM or as JWK: RSA (2048 bits or more), P-256 or Ed25519."""

    private_key: str = Field(min_length=1, max_length=16_000, repr=False)


class ImportedSigningKey(Model):
    """The key that was taken in as the standby."""

    kid: Kid
    alg: Algorithm
    phase: Literal["pending"] = "pending"


class PrivateKey(Model):
    """The private half of a signing key. Whoever can read it can sign tokens."""

    kid: Kid
    pem: str = Field(repr=False)


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
