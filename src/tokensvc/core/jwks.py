"""JSON Web Keys (RFC 7517, 7518, 8037), their thumbprints (RFC 7638), and the JWKS.

A key from a JWKS is bound to the one algorithm that it names. It is left out if it names none, is
weak, or is not for signatures.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeGuard

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from tokensvc.core.algorithm import ALGORITHMS
from tokensvc.core.base64url import encode_base64url
from tokensvc.core.identifier import Kid

if TYPE_CHECKING:
    from collections.abc import Iterable

PublicKey = EllipticCurvePublicKey | Ed25519PublicKey | RSAPublicKey

# RFC 7518 section 3.3 demands as much.
_MIN_RSA_BITS: Final = 2048
# An issuer publishes a few. Each one takes time to open, and the event loop waits for all.
_MAX_KEYS: Final = 100
_KID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
# The members that a thumbprint covers, by `kty` (RFC 7638 section 3.2, RFC 8037 section 2). They
# are also all that a public key of that type consists of.
_THUMBPRINT_MEMBERS: Final = {
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
    "RSA": ("e", "kty", "n"),
}


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key bound to exactly one algorithm (RFC 8725 section 3.1)."""

    kid: Kid
    alg: str
    key: PublicKey


def is_kid(value: object) -> TypeGuard[Kid]:
    """Tell whether `value` has the form of a `kid`. A header with anything else is refused."""
    return isinstance(value, str) and _KID.fullmatch(value) is not None


def thumbprint(jwk: dict[str, str]) -> Kid:
    """Return the SHA-256 thumbprint of a JWK, base64url (RFC 7638 section 3)."""
    members = {name: jwk[name] for name in _THUMBPRINT_MEMBERS[jwk["kty"]]}
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":")).encode("ascii")
    digest = hashlib.sha256(canonical).digest()
    return Kid(encode_base64url(digest).decode("ascii"))


def build_public_jwk(alg: str, key: PublicKey) -> dict[str, str]:
    """Return the public JWK of `key`, with `alg`, `use` and the thumbprint as `kid`."""
    full = jwt.get_algorithm_by_name(alg).to_jwk(key, as_dict=True)
    members = {name: str(full[name]) for name in _THUMBPRINT_MEMBERS[str(full["kty"])]}
    return {**members, "alg": alg, "use": "sig", "kid": thumbprint(members)}


def build_jwks(jwks: Iterable[dict[str, str]]) -> bytes:
    """Return the JWKS document.

    EC keys come first, because a widespread library fails if the first one is an RSA key.
    """
    order = {"EC": 0, "OKP": 1, "RSA": 2}
    ordered = sorted(jwks, key=lambda jwk: order[jwk["kty"]])
    return json.dumps({"keys": ordered}, separators=(",", ":")).encode("ascii")


def parse_jwks(document: bytes) -> dict[Kid, VerifyingKey]:
    """Return the usable keys of a JWKS by `kid`.

    A key of an unknown kind, or one that is weak or broken, is left out and the others are kept
    (RFC 7517 section 5). Raises ValueError if the document is no JWKS, holds more than 100 keys, or
    holds one `kid` twice: then it is not clear which key is meant.
    """
    try:
        parsed = json.loads(document)
    except RecursionError as error:
        raise ValueError("not a JWKS: nested too deeply") from error
    entries = parsed.get("keys") if isinstance(parsed, dict) else None
    if not isinstance(entries, list) or len(entries) > _MAX_KEYS:
        raise ValueError(
            f"not a JWKS: it must be an object with a list `keys` of at most {_MAX_KEYS} entries"
        )
    keys: dict[Kid, VerifyingKey] = {}
    for entry in entries:
        key = _parse_jwk(entry)
        if key is None:
            continue
        if key.kid in keys:
            raise ValueError("a JWKS must not hold one kid twice")
        keys[key.kid] = key
    return keys


def parse_public_jwk(jwk: dict[str, str]) -> VerifyingKey:
    """Return the key of one of our own published JWKs.

    Raises ValueError if it is not usable, or if its `kid` is not its thumbprint.
    """
    key = _parse_jwk(jwk)
    if key is None or key.kid != thumbprint(jwk):
        raise ValueError("not a usable public JWK, or its kid is not its thumbprint")
    return key


def _parse_jwk(jwk: Any) -> VerifyingKey | None:  # noqa: ANN401 - whatever JSON held
    if not isinstance(jwk, dict) or not is_kid(jwk.get("kid")):
        return None
    # If the private half ("d") is in a JWKS, anybody who reads it can sign.
    if jwk.get("use", "sig") != "sig" or "d" in jwk:
        return None
    alg = jwk.get("alg")
    if alg not in ALGORITHMS:
        return None
    try:
        key = jwt.PyJWK.from_dict(jwk).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    return VerifyingKey(Kid(jwk["kid"]), alg, key) if fits(alg, key) else None


def fits(alg: str, key: object) -> bool:
    """Tell whether `key` is a public key of the one kind that `alg` works with, and not weak."""
    match key:
        case EllipticCurvePublicKey():
            return alg == "ES256" and isinstance(key.curve, SECP256R1)
        case Ed25519PublicKey():
            return alg == "EdDSA"
        case RSAPublicKey():
            return alg == "RS256" and key.key_size >= _MIN_RSA_BITS
        case _:
            return False
