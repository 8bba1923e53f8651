"""Sealing private signing keys under the master key.

A private key is encrypted with AES-256-GCM. Its `kid` is the associated data, so that one sealed
key cannot take the place of another.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tokensvc.core.errors import StartRefusedError
from tokensvc.core.jwks import build_public_jwk
from tokensvc.core.token import PrivateKey, SigningKey

if TYPE_CHECKING:
    from tokensvc.core.identifier import Kid

_NONCE_LENGTH: Final = 12


@dataclass(frozen=True, slots=True)
class MasterKey:
    """32 bytes that open the signing keys. `repr` leaves them out."""

    secret: bytes = field(repr=False)


def new_master_key() -> MasterKey:
    """Return a fresh master key."""
    return MasterKey(secrets.token_bytes(32))


def seal(private_key: PrivateKey, alg: str, master_key: MasterKey) -> tuple[dict[str, str], bytes]:
    """Return (public JWK, sealed private key).

    A sealed key is a nonce of 12 bytes and then the ciphertext of the PKCS#8 DER.
    """
    public_jwk = build_public_jwk(alg, private_key.public_key())
    der = private_key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    nonce = secrets.token_bytes(_NONCE_LENGTH)
    kid = public_jwk["kid"].encode("ascii")
    return public_jwk, nonce + AESGCM(master_key.secret).encrypt(nonce, der, kid)


def unseal(sealed: bytes, *, kid: Kid, alg: str, master_key: MasterKey) -> SigningKey:
    """Return the signing key.

    Raises StartRefusedError if it was sealed under another master key, or if the row was changed.
    """
    nonce, ciphertext = sealed[:_NONCE_LENGTH], sealed[_NONCE_LENGTH:]
    try:
        der = AESGCM(master_key.secret).decrypt(nonce, ciphertext, kid.encode("ascii"))
    except (InvalidTag, ValueError) as error:
        raise StartRefusedError(
            f"the master key does not open signing key {kid}: "
            "it is not the one that sealed it, or the row was changed"
        ) from error
    private_key = cast("PrivateKey", serialization.load_der_private_key(der, password=None))
    return SigningKey(kid, alg, private_key)
