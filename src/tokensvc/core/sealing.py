"""Making private signing keys, and sealing them under the master key (AES-256-GCM, the kid as associated data)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tokensvc.core.errors import StartRefusedError
from tokensvc.core.jwks import build_public_jwk
from tokensvc.core.token import PrivateKey, SigningKey

if TYPE_CHECKING:
    from tokensvc.core.identifier import Kid

_NONCE_LENGTH: Final = 12
_NEW_RSA_BITS: Final = 3072


@dataclass(frozen=True, slots=True)
class MasterKey:
    """32 bytes that open the signing keys. Never shown."""

    secret: bytes = field(repr=False)


def new_master_key() -> MasterKey:
    """Return a fresh master key."""
    return MasterKey(secrets.token_bytes(32))


def new_private_key(alg: str) -> PrivateKey:
    """Return a fresh private key for `alg` (one of `jwks.ALGORITHMS`). RS256 takes about a tenth of a second.

    Its `kid` never begins with a hyphen: a command line would take it for an option.
    """
    while True:
        private_key = _generate(alg)
        if not build_public_jwk(alg, private_key.public_key())["kid"].startswith("-"):
            return private_key


def _generate(alg: str) -> PrivateKey:
    if alg == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if alg == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=_NEW_RSA_BITS)


def seal(private_key: PrivateKey, alg: str, master_key: MasterKey) -> tuple[dict[str, str], bytes]:
    """Return (public JWK, sealed private key): a nonce of 12 bytes, then the ciphertext of the PKCS#8 DER."""
    public_jwk = build_public_jwk(alg, private_key.public_key())
    der = private_key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    nonce = secrets.token_bytes(_NONCE_LENGTH)
    return public_jwk, nonce + AESGCM(master_key.secret).encrypt(
        nonce, der, public_jwk["kid"].encode("ascii")
    )


def unseal(sealed: bytes, *, kid: Kid, alg: str, master_key: MasterKey) -> SigningKey:
    """Return the signing key. Raises StartRefusedError if the master key is another one or the row was tampered with."""
    nonce, ciphertext = sealed[:_NONCE_LENGTH], sealed[_NONCE_LENGTH:]
    try:
        der = AESGCM(master_key.secret).decrypt(nonce, ciphertext, kid.encode("ascii"))
    except (InvalidTag, ValueError) as error:
        raise StartRefusedError(
            f"the master key does not open signing key {kid}: it is not the one that sealed it, or the row was changed"
        ) from error
    return SigningKey(
        kid, alg, cast("PrivateKey", serialization.load_der_private_key(der, password=None))
    )
