"""Compact JWS (RFC 7515): signing, and the check of header and signature.

Of a header only `typ`, `alg` and `kid` are used. `crit`, `b64` and `zip` are refused. `jku`, `x5u`,
`jwk` and `x5c` are never looked at: they name a key, and the sender must not choose the key (RFC
8725 section 3.10).

Not here: claims (`claims`) and revocation (`denylist`).
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

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

from tokensvc.core.base64url import decode_base64url, encode_base64url
from tokensvc.core.errors import InvalidInputError, InvalidTokenError
from tokensvc.core.jwks import is_kid
from tokensvc.core.strict_json import check_json

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from tokensvc.core.identifier import Kid
    from tokensvc.core.jwks import VerifyingKey

PrivateKey = EllipticCurvePrivateKey | Ed25519PrivateKey | RSAPrivateKey

# The values of `typ` that are accepted. The first one is written (RFC 9068 section 2.1).
ACCESS_TOKEN: Final = ("at+jwt", "application/at+jwt")
# Tokens for audiences whose libraries know no other type. Nothing else that we sign is called so.
PLAIN_TOKEN: Final = ("jwt",)
DENYLIST_PAGE: Final = ("denylist+jwt", "application/denylist+jwt")
AUDIT_HEAD: Final = ("audit-head+jwt", "application/audit-head+jwt")
AUDIT_CHECKPOINT: Final = ("audit-checkpoint+jwt", "application/audit-checkpoint+jwt")

_HEADER_NAMES: Final = ("typ", "alg", "kid")
# Most servers take no longer header by default.
_MAX_LENGTH: Final = 16 * 1024
_MAX_HEADER_LENGTH: Final = 8 * 1024
_MOST_HEADERS: Final = 64
_ES256: Final = ECDSA(SHA256())
_ES256_BYTES: Final = 32  # of each of the two numbers, r and s
_READER: Final = json.JSONDecoder()
_JSON: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
# Three parts of base64url, none of them empty, and nothing else (RFC 8725bis section 3.14).
_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with its kid and its one algorithm. The key never shows in `repr`."""

    kid: Kid
    alg: str
    private_key: PrivateKey = field(repr=False)


class UnverifiedToken(NamedTuple):
    """A well-formed compact JWS of which nothing has been proved. `repr` never shows its text."""

    text: str
    typ: str
    alg: str
    kid: Kid

    def __repr__(self) -> str:
        """Return what the header says."""
        return f"UnverifiedToken(typ={self.typ!r}, alg={self.alg!r}, kid={self.kid!r})"


def sign_jws(payload: Mapping[str, Any], *, typ: str, key: SigningKey) -> str:
    """Return the compact JWS of a JSON payload (RFC 7515 section 5.1).

    Its header holds `typ`, `alg` and `kid`. Raises ValueError for NaN and infinity, which JSON does
    not have.
    """
    return sign_jws_text(_dump(payload), typ=typ, key=key)


def sign_jws_text(payload: bytes, *, typ: str, key: SigningKey) -> str:
    """As `sign_jws`, of a payload that is JSON text already."""
    signed = _encode_header(typ, key.alg, key.kid) + b"." + encode_base64url(payload)
    return (signed + b"." + encode_base64url(_sign(signed, key))).decode("ascii")


def _sign(signed: bytes, key: SigningKey) -> bytes:
    if key.alg == "ES256":
        # The library gives DER; a JWS holds r and s, 32 bytes each (RFC 7518 section 3.4). PyJWT
        # does the same, but more slowly: it writes both as text on the way.
        private_key: Any = key.private_key
        r, s = decode_dss_signature(private_key.sign(signed, _ES256))
        return r.to_bytes(_ES256_BYTES, "big") + s.to_bytes(_ES256_BYTES, "big")
    return jwt.get_algorithm_by_name(key.alg).sign(signed, key.private_key)


def parse_unverified(text: str, *, max_length: int = _MAX_LENGTH) -> UnverifiedToken:
    """Return a compact JWS with what its header says. Raises InvalidTokenError for all else.

    Length and form are checked before anything is decoded.
    """
    part = _check_form(text, max_length)
    typ, alg, kid = _proved_headers.get(part) or parse_header(part)
    return UnverifiedToken(text, typ, alg, kid)


def _check_form(text: str, max_length: int) -> str:
    """Return the header of what has the form of a compact JWS, as it stands there."""
    if len(text) > max_length or not _COMPACT.fullmatch(text):
        raise InvalidTokenError("malformed_token")
    return text[: text.index(".")]


# All tokens of a signing key have the same header, so those of verified tokens are remembered. One
# of which nothing was proved is not: anybody can send any number of those.
_proved_headers: dict[str, tuple[str, str, Kid]] = {}


def _remember_header(part: str, token: UnverifiedToken) -> None:
    if len(_proved_headers) >= _MOST_HEADERS:
        _proved_headers.clear()
    _proved_headers[part] = (token.typ, token.alg, token.kid)


def parse_header(part: str) -> tuple[str, str, Kid]:
    """Return (typ, alg, kid) of the first part of a JWS. Raises InvalidTokenError."""
    if len(part) > _MAX_HEADER_LENGTH:
        raise InvalidTokenError("malformed_token")
    header = _decode_json(part)
    typ, alg, kid = header.get("typ"), header.get("alg"), header.get("kid")
    if not isinstance(typ, str) or not isinstance(alg, str) or not is_kid(kid):
        said = {name: header.get(name) for name in _HEADER_NAMES}
        raise InvalidTokenError("bad_header", said=said, wanted=_HEADER_NAMES)
    # An extension that must be understood, a payload that is not base64url, a compressed payload.
    if "crit" in header or "b64" in header or "zip" in header:
        raise InvalidTokenError("unknown_critical_header")
    return typ.lower(), alg, kid


def read_unverified(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (header, payload) of a token of which nothing has been proved, for people to look at.

    Its header may be one that we refuse. Raises InvalidTokenError for what is no JWS.
    """
    _check_form(text, _MAX_LENGTH)
    header, payload = map(_decode_json, text.split(".")[:2])
    try:
        check_json([header, payload])
    except InvalidInputError as error:  # it could not even be shown
        raise InvalidTokenError("malformed_token") from error
    return header, payload


def check_signature(
    unverified_token: UnverifiedToken,
    *,
    typ: Collection[str],
    algorithms: Collection[str],
    key: VerifyingKey | None,
) -> dict[str, Any]:
    """Return the payload of a token whose type, algorithm and signature are right.

    `typ` and `algorithms` are those that are accepted. `key` is the one that the token's `kid`
    names, None if there is none. The algorithm must be accepted *and* be the key's own (RFC 8725
    section 3.1). Raises InvalidTokenError.
    """
    known = check_key(unverified_token, typ=typ, algorithms=algorithms, key=key)
    check_signed(unverified_token.text, known)
    header, payload, _ = unverified_token.text.split(".")
    if header not in _proved_headers:
        _remember_header(header, unverified_token)
    return _decode_json(payload)


def check_key(
    unverified_token: UnverifiedToken,
    *,
    typ: Collection[str],
    algorithms: Collection[str],
    key: VerifyingKey | None,
) -> VerifyingKey:
    """Return the key that must have signed; else as `check_signature`."""
    check_kind(unverified_token, typ=typ, algorithms=algorithms)
    if key is None:
        raise InvalidTokenError("unknown_kid")
    if unverified_token.alg != key.alg:
        raise InvalidTokenError("algorithm_not_allowed", said=unverified_token.alg, wanted=key.alg)
    return key


def check_kind(
    unverified_token: UnverifiedToken, *, typ: Collection[str], algorithms: Collection[str]
) -> None:
    """Raise InvalidTokenError unless type and algorithm are among those that are accepted."""
    said = unverified_token.alg
    if unverified_token.typ not in typ:
        raise InvalidTokenError("wrong_type", said=unverified_token.typ, wanted=tuple(typ))
    if said not in algorithms:
        raise InvalidTokenError("algorithm_not_allowed", said=said, wanted=tuple(algorithms))


def check_signed(text: str, key: VerifyingKey) -> None:
    """Raise InvalidTokenError unless the last part of `text` is the signature of the others."""
    signed, _, signature = text.rpartition(".")
    try:
        if key.alg == "ES256":
            good = verify_es256(signed.encode("ascii"), key.key, decode_base64url(signature))
        else:
            algorithm = jwt.get_algorithm_by_name(key.alg)
            good = algorithm.verify(signed.encode("ascii"), key.key, decode_base64url(signature))
    except (jwt.PyJWTError, ValueError) as error:
        raise InvalidTokenError("bad_signature") from error
    if not good:
        raise InvalidTokenError("bad_signature")


def verify_es256(
    signed: bytes,
    key: Any,  # noqa: ANN401 - an EllipticCurvePublicKey; to say so to mypy costs a call
    signature: bytes,
    algorithm: ECDSA = _ES256,
) -> bool:
    """Tell whether a signature is right that holds r and s, as in `_sign`."""
    if len(signature) != 2 * _ES256_BYTES:
        return False
    r = int.from_bytes(signature[:_ES256_BYTES], "big")
    s = int.from_bytes(signature[_ES256_BYTES:], "big")
    try:
        key.verify(encode_dss_signature(r, s), signed, algorithm)
    except InvalidSignature:
        return False
    return True


@functools.lru_cache(maxsize=64)  # all tokens of a signing key have the same header
def _encode_header(typ: str, alg: str, kid: Kid) -> bytes:
    return encode_base64url(_dump({"typ": typ, "alg": alg, "kid": kid}))


def _dump(value: Mapping[str, Any]) -> bytes:
    return _JSON.encode(value).encode("ascii")


def _decode_json(part: str) -> dict[str, Any]:
    try:
        value = _parse_json(decode_base64url(part).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidTokenError("malformed_token") from error
    if not isinstance(value, dict):
        raise InvalidTokenError("malformed_token")
    return value


def _parse_json(text: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    # What has no blanks around it, as all that we write, is read with fewer calls.
    if text.startswith("{"):
        value, end = _READER.raw_decode(text)
        if end == len(text):
            return value
    return json.loads(text)
