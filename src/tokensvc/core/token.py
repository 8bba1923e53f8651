"""Compact JWS (RFC 7515): signing, and judging header and signature of a text that is not yet trusted.

What is read from the header: `typ`, `alg`, `kid`, and `crit` only to refuse it. `jku`, `x5u`, `jwk`, `x5c` are never looked at
(RFC 8725 section 3.10). What is *not* judged here: claims (`claims`), revocation (`denylist`).
"""

from __future__ import annotations

import base64
import functools
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

import jwt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256

from tokensvc.core.errors import InvalidTokenError
from tokensvc.core.identifier import Kid
from tokensvc.core.jwks import is_kid

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

    from tokensvc.core.jwks import PublicKey, VerifyingKey

PrivateKey = EllipticCurvePrivateKey | Ed25519PrivateKey | RSAPrivateKey

ACCESS_TOKEN: Final = ("at+jwt", "application/at+jwt")
DENYLIST_PAGE: Final = ("denylist+jwt", "application/denylist+jwt")
MAX_TOKEN_LENGTH: Final = 16 * 1024

_ES256: Final = ECDSA(SHA256())
_ES256_BYTES: Final = 32
_JSON: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_COMPACT = re.compile(
    r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII
)  # RFC 8725bis section 3.14


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with its kid and its one algorithm. The key never shows in `repr`."""

    kid: Kid
    alg: str
    private_key: PrivateKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class UnverifiedToken:
    """A well-formed compact JWS of which nothing has been proved."""

    text: str = field(repr=False)
    typ: str
    alg: str
    kid: Kid


def sign_jws(payload: Mapping[str, Any], *, typ: str, key: SigningKey) -> str:
    """Return the compact JWS of `payload` as JSON, with `typ`, `alg` and `kid` in its header (RFC 7515 section 5.1)."""
    signed = _encode_header(typ, key.alg, key.kid) + b"." + _encode(_dump(payload))
    return (signed + b"." + _encode(_sign(signed, key))).decode("ascii")


def _sign(signed: bytes, key: SigningKey) -> bytes:
    if (
        key.alg == "ES256"
    ):  # as PyJWT does it, without a detour through text: r || s (RFC 7518 section 3.4)
        r, s = decode_dss_signature(
            cast("EllipticCurvePrivateKey", key.private_key).sign(signed, _ES256)
        )
        return r.to_bytes(_ES256_BYTES, "big") + s.to_bytes(_ES256_BYTES, "big")
    return jwt.get_algorithm_by_name(key.alg).sign(signed, key.private_key)


def parse_unverified(text: str, *, max_length: int = MAX_TOKEN_LENGTH) -> UnverifiedToken:
    """Return the parts of a compact JWS. Raises InvalidTokenError for every other form, before anything is decoded."""
    if len(text) > max_length or not _COMPACT.fullmatch(text):
        raise InvalidTokenError("malformed_token")
    typ, alg, kid = _parse_header(text[: text.index(".")])
    return UnverifiedToken(text=text, typ=typ, alg=alg, kid=kid)


@functools.lru_cache(maxsize=64)  # the same for every token of a key
def _parse_header(part: str) -> tuple[str, str, Kid]:
    header = _decode_json(part)
    typ, alg, kid = header.get("typ"), header.get("alg"), header.get("kid")
    if (
        not isinstance(typ, str)
        or not isinstance(alg, str)
        or not isinstance(kid, str)
        or not is_kid(kid)
    ):
        raise InvalidTokenError("bad_header")
    if "crit" in header or "b64" in header or "zip" in header:
        raise InvalidTokenError("unknown_critical_header")
    return typ.lower(), alg, Kid(kid)


def read_unverified(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and payload of a token of which nothing has been proved, to be looked at by people. Raises InvalidTokenError."""
    parse_unverified(text)
    header, payload, _ = text.split(".")
    return _decode_json(header), _decode_json(payload)


def check_signature(
    unverified_token: UnverifiedToken,
    *,
    typ: Collection[str],
    algorithms: Collection[str],
    key: VerifyingKey | None,
) -> dict[str, Any]:
    """Return the payload of a token whose type, algorithm and signature are right; `key` is the one that its kid names, if any.

    The algorithm must be on our list *and* be the key's own (RFC 8725 section 3.1). Raises InvalidTokenError.
    """
    if unverified_token.typ not in typ:
        raise InvalidTokenError("wrong_type")
    if unverified_token.alg not in algorithms:
        raise InvalidTokenError("algorithm_not_allowed")
    if key is None:
        raise InvalidTokenError("unknown_kid")
    if unverified_token.alg != key.alg:
        raise InvalidTokenError("algorithm_not_allowed")
    verify_bytes(unverified_token.text, alg=key.alg, key=key.key)
    return _decode_json(unverified_token.text.split(".")[1])


def verify_bytes(text: str, *, alg: str, key: PublicKey) -> None:
    """Raise InvalidTokenError unless the last part of `text` signs the two before it."""
    signed, _, signature = text.rpartition(".")
    try:
        if alg == "ES256":
            good = _verify_es256(
                signed.encode("ascii"), cast("EllipticCurvePublicKey", key), _decode(signature)
            )
        else:
            good = jwt.get_algorithm_by_name(alg).verify(
                signed.encode("ascii"), key, _decode(signature)
            )
    except (jwt.PyJWTError, ValueError) as error:
        raise InvalidTokenError("bad_signature") from error
    if not good:
        raise InvalidTokenError("bad_signature")


def _verify_es256(signed: bytes, key: EllipticCurvePublicKey, signature: bytes) -> bool:
    """Tell whether `signature`, r || s (RFC 7518 section 3.4), is right; without PyJWT's detour through text, as in `_sign`."""
    if len(signature) != 2 * _ES256_BYTES:
        return False
    r, s = (
        int.from_bytes(signature[:_ES256_BYTES], "big"),
        int.from_bytes(signature[_ES256_BYTES:], "big"),
    )
    try:
        key.verify(encode_dss_signature(r, s), signed, _ES256)
    except InvalidSignature:
        return False
    return True


@functools.lru_cache(maxsize=64)  # the same for every token of a key
def _encode_header(typ: str, alg: str, kid: Kid) -> bytes:
    return _encode(_dump({"typ": typ, "alg": alg, "kid": kid}))


def _dump(value: Mapping[str, Any]) -> bytes:
    return _JSON.encode(value).encode("ascii")


def _encode(part: bytes) -> bytes:
    return base64.urlsafe_b64encode(part).rstrip(b"=")


def _decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _decode_json(part: str) -> dict[str, Any]:
    try:
        value = json.loads(_decode(part).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidTokenError("malformed_token") from error
    if not isinstance(value, dict):
        raise InvalidTokenError("malformed_token")
    return value
