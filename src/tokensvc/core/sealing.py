"""Sealing private signing keys, and other secrets for a while, under the master key.

A private key is encrypted with AES-256-GCM. Its `kid` is the associated data, so that one sealed
key cannot take the place of another.

Everything else in the row of a signing key can be written by anybody who can write the database. So
what has been unsealed decides: algorithm, `kid` and public key of the row must be those of the
private key, or somebody who writes the database could publish a key of their own.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tokensvc.core.errors import StartRefusedError
from tokensvc.core.jwks import build_public_jwk, fits
from tokensvc.core.token import PrivateKey, SigningKey

if TYPE_CHECKING:
    from tokensvc.core.keyring import SigningKeyRecord

# The length that GCM is made for. With random nonces, one key may seal 2 ** 32 times (NIST SP
# 800-38D section 8.3), which is far more than ever happens here.
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


def seal_text(text: str, context: str, master_key: MasterKey) -> bytes:
    """Return a sealed text, which opens only together with the same `context`.

    No context looks like the `kid` of a signing key, so neither can take the place of the other.
    """
    nonce = secrets.token_bytes(_NONCE_LENGTH)
    sealed = AESGCM(master_key.secret).encrypt(nonce, text.encode(), context.encode())
    return nonce + sealed


def unseal_text(sealed: bytes, context: str, master_key: MasterKey) -> str | None:
    """Return the text, None if another master key or another context has sealed it."""
    nonce, ciphertext = sealed[:_NONCE_LENGTH], sealed[_NONCE_LENGTH:]
    try:
        return AESGCM(master_key.secret).decrypt(nonce, ciphertext, context.encode()).decode()
    except (InvalidTag, ValueError):
        return None


def unseal(record: SigningKeyRecord, master_key: MasterKey) -> SigningKey:
    """Return the signing key of a row.

    Raises StartRefusedError if it was sealed under another master key, or if the row was changed.
    """
    sealed, kid = record.sealed_private_key, record.kid
    nonce, ciphertext = sealed[:_NONCE_LENGTH], sealed[_NONCE_LENGTH:]
    try:
        der = AESGCM(master_key.secret).decrypt(nonce, ciphertext, kid.encode("utf-8"))
    except (InvalidTag, ValueError) as error:
        raise StartRefusedError(
            f"the master key does not open signing key {kid}: "
            "it is not the one that sealed it, or the row was changed",
            reason="signing_key_not_opened",
        ) from error
    private_key = cast("PrivateKey", serialization.load_der_private_key(der, password=None))
    public_key = private_key.public_key()
    # The JWK that is built has the thumbprint as `kid`, so the row's `kid` is compared with that.
    is_own = fits(record.alg, public_key) and (
        record.public_jwk == build_public_jwk(record.alg, public_key)
    )
    if not is_own or record.public_jwk["kid"] != kid:
        raise StartRefusedError(
            f"the row of signing key {kid} was changed: its public key, algorithm or kid is not "
            "that of its private key. Find out who can write the database, and then run: "
            f"tokensvc signing-key revoke {kid}",
            reason="signing_key_changed",
        )
    return SigningKey(kid, record.alg, private_key)
