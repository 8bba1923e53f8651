"""Private keys: making them, and reading and writing them as text.

They are read as PEM (PKCS#8, PKCS#1, SEC 1) or JWK (RFC 7517), and written as PEM.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, cast

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tokensvc.core.errors import InvalidInputError
from tokensvc.core.jwks import build_public_jwk, fits

if TYPE_CHECKING:
    from tokensvc.core.jwks import PublicKey
    from tokensvc.core.token import PrivateKey, SigningKey

# As strong as the other two algorithms: 128 bits (NIST SP 800-57 part 1, table 2).
_NEW_RSA_BITS: Final = 3072
_WHAT_FITS: Final = (
    "an EC key on P-256 (ES256), an Ed25519 key (EdDSA), "
    "or an RSA key of at least 2048 bits (RS256)"
)
_ALG_OF_JWK: Final = {"EC": "ES256", "OKP": "EdDSA", "RSA": "RS256"}  # by `kty`
_OTHER_NAMES: Final = {"Ed25519": "EdDSA"}  # RFC 9864


def new_private_key(alg: str) -> PrivateKey:
    """Return a fresh private key for `alg`, one of `jwks.ALGORITHMS`.

    RS256 takes about a tenth of a second. The `kid` never begins with a hyphen, because a command
    line would take it for an option.
    """
    while True:
        private_key = _generate(alg)
        if not build_public_jwk(alg, private_key.public_key())["kid"].startswith("-"):
            return private_key


def parse_private_key(text: bytes) -> tuple[str, PrivateKey]:
    """Return (algorithm, private key) of a PEM or JWK.

    Raises InvalidInputError. Its message never repeats the text, which is secret.
    """
    key = _parse_jwk(text) if text.lstrip().startswith(b"{") else _parse_pem(text)
    match key:
        case ec.EllipticCurvePrivateKey():
            alg = "ES256"
        case ed25519.Ed25519PrivateKey():
            alg = "EdDSA"
        case rsa.RSAPrivateKey():
            alg = "RS256"
        case _:
            alg = ""
    # A public key and another kind of key have no algorithm here; a weak key does not fit its own.
    if not alg or not fits(alg, cast("Any", key).public_key()):
        raise _refuse(f"this key cannot sign tokens: what fits is {_WHAT_FITS}")
    return alg, cast("PrivateKey", key)


def build_private_pem(key: SigningKey) -> bytes:
    """Return the private key as PEM, PKCS#8, not encrypted."""
    return key.private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def build_public_pem(key: PublicKey) -> bytes:
    """Return a public key as PEM (SubjectPublicKeyInfo).

    It is for programs that read a file and cannot read a JWKS.
    """
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _generate(alg: str) -> PrivateKey:
    if alg == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if alg == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=_NEW_RSA_BITS)


def _parse_pem(text: bytes) -> object:
    try:
        return serialization.load_pem_private_key(text, password=None)
    except TypeError as error:
        raise _refuse(
            "the key is encrypted; decrypt it first: openssl pkey -in FILE -out PLAIN"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _refuse(
            "this is no private key in PEM (BEGIN PRIVATE KEY), nor one as a JWK"
        ) from error


def _parse_jwk(text: bytes) -> object:
    try:
        jwk = json.loads(text)
        alg = _ALG_OF_JWK[jwk["kty"]]
        named = jwk.get("alg", alg)
        if "d" not in jwk or _OTHER_NAMES.get(named, named) != alg:
            raise _refuse(
                f"this JWK is no private key for {alg}, or is meant for another algorithm; "
                f"what fits is {_WHAT_FITS}"
            )
        if jwk.get("use", "sig") != "sig" or "sign" not in jwk.get("key_ops", ["sign"]):
            raise _refuse(
                "this JWK is not for signing: its `use` or `key_ops` says that it is for something "
                "else, and one key must not be used for both"
            )
        return jwt.get_algorithm_by_name(alg).from_jwk(jwk)
    # All that JSON of any other shape can lead to, and what PyJWT raises for bad members.
    except (
        ValueError,
        KeyError,
        TypeError,
        RecursionError,
        AttributeError,
        jwt.PyJWTError,
    ) as error:
        raise _refuse(f"this JWK cannot be read; what fits is {_WHAT_FITS}") from error


def _refuse(message: str) -> InvalidInputError:
    return InvalidInputError(message, pointer="/private_key")
