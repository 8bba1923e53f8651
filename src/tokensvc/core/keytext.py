"""Private keys as text: PEM (PKCS#8, PKCS#1, SEC 1) and JWK (RFC 7517), in and out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, cast

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tokensvc.core.errors import InvalidInputError
from tokensvc.core.jwks import fits

if TYPE_CHECKING:
    from tokensvc.core.token import PrivateKey, SigningKey

_WHAT_FITS: Final = "an EC key on P-256 (ES256), an Ed25519 key (EdDSA), or an RSA key of at least 2048 bits (RS256)"
_ALG_OF_JWK: Final = {"EC": "ES256", "OKP": "EdDSA", "RSA": "RS256"}
_OTHER_NAMES: Final = {"Ed25519": "EdDSA"}  # RFC 9864


def parse_private_key(text: bytes) -> tuple[str, PrivateKey]:
    """Return (algorithm, private key) of a PEM or JWK. Raises InvalidInputError, which never repeats the text."""
    key = _parse_jwk(text) if text.lstrip().startswith(b"{") else _parse_pem(text)
    match key:
        case EllipticCurvePrivateKey():
            alg = "ES256"
        case Ed25519PrivateKey():
            alg = "EdDSA"
        case RSAPrivateKey():
            alg = "RS256"
        case _:
            alg = ""
    if not alg or not fits(alg, cast("Any", key).public_key()):
        raise InvalidInputError(f"this key cannot sign tokens: what fits is {_WHAT_FITS}")
    return alg, cast("PrivateKey", key)


def build_private_pem(key: SigningKey) -> bytes:
    """Return the private key as PEM, PKCS#8, not encrypted."""
    return key.private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def build_public_pem(jwk: dict[str, str]) -> bytes:
    """Return one of our published JWKs as PEM (SubjectPublicKeyInfo), for what reads files and no JWKS."""
    key = jwt.PyJWK.from_dict(jwk).key
    pem: bytes = key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem


def _parse_pem(text: bytes) -> object:
    try:
        return serialization.load_pem_private_key(text, password=None)
    except TypeError as error:
        raise InvalidInputError(
            "the key is encrypted; decrypt it first: openssl pkey -in FILE -out PLAIN"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidInputError(
            "this is no private key in PEM (BEGIN PRIVATE KEY), nor one as a JWK"
        ) from error


def _parse_jwk(text: bytes) -> object:
    try:
        jwk = json.loads(text)
        alg = _ALG_OF_JWK[jwk["kty"]]
        named = jwk.get("alg", alg)
        if "d" not in jwk or _OTHER_NAMES.get(named, named) != alg:
            raise InvalidInputError(
                f"this JWK is no private key for {alg}, or is meant for another algorithm; what fits is {_WHAT_FITS}"
            )
        return jwt.get_algorithm_by_name(alg).from_jwk(jwk)
    except (
        ValueError,
        KeyError,
        TypeError,
        RecursionError,
        AttributeError,
        jwt.PyJWTError,
    ) as error:
        raise InvalidInputError(f"this JWK cannot be read; what fits is {_WHAT_FITS}") from error
