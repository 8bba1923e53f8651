"""A compact JWS that may be long, as pages of the feed are: as `token`, but in short steps.

A follower shares the event loop with an application. So form, signature and payload of
a long text are gone through piece by piece, each step in a millisecond or two.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256

from tokensvc.core.base64url import decode_base64url
from tokensvc.core.errors import InvalidTokenError
from tokensvc.core.json_steps import parse_object_in_steps
from tokensvc.core.token import (
    UnverifiedToken,
    check_key,
    check_signature,
    check_signed,
    parse_header,
    parse_unverified,
    verify_es256,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Generator

    from tokensvc.core.jwks import VerifyingKey

_PER_STEP: Final = 128 * 1024  # characters; a multiple of four, so that each piece can be decoded
_SHORT: Final = 64 * 1024  # a shorter text is gone through in one step
_CHARACTERS: Final = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)
_HASHED: Final = ECDSA(Prehashed(SHA256()))


def parse_unverified_in_steps(
    text: str, *, max_length: int
) -> Generator[None, None, UnverifiedToken]:
    """As `parse_unverified`."""
    if len(text) <= _SHORT:
        return parse_unverified(text, max_length=max_length)
    # Three parts, none of them empty: exactly two dots, as `_COMPACT` in `token` demands.
    first, last = text.find("."), text.rfind(".")
    if len(text) > max_length or not 0 < first < last - 1 or last == len(text) - 1:
        raise InvalidTokenError("malformed_token")
    if text.find(".", first + 1) != last:
        raise InvalidTokenError("malformed_token")
    for start in range(0, len(text), _PER_STEP):
        if not _CHARACTERS.fullmatch(text, start, start + _PER_STEP):
            raise InvalidTokenError("malformed_token")
        yield
    typ, alg, kid = parse_header(text[:first])
    return UnverifiedToken(text=text, typ=typ, alg=alg, kid=kid)


def check_signature_in_steps(
    unverified_token: UnverifiedToken,
    *,
    typ: Collection[str],
    algorithms: Collection[str],
    key: VerifyingKey | None,
) -> Generator[None, None, dict[str, Any]]:
    """As `check_signature`. A value in the payload that is no list has 64 KB at most."""
    text = unverified_token.text
    if len(text) <= _SHORT:
        return check_signature(unverified_token, typ=typ, algorithms=algorithms, key=key)
    known = check_key(unverified_token, typ=typ, algorithms=algorithms, key=key)
    if known.alg == "ES256":
        yield from _check_es256(text, known)
    else:
        check_signed(text, known)
    yield
    try:
        payload = yield from _decode(text, text.index(".") + 1, text.rindex("."))
        return (yield from parse_object_in_steps(payload))
    except (ValueError, RecursionError) as error:
        raise InvalidTokenError("malformed_token") from error


def _check_es256(text: str, key: VerifyingKey) -> Generator[None, None, None]:
    """Raise InvalidTokenError unless the last part of `text` is the signature of the others."""
    end, digest = text.rindex("."), hashlib.sha256()
    for start in range(0, end, _PER_STEP):
        digest.update(text[start : min(end, start + _PER_STEP)].encode("ascii"))
        yield
    try:
        good = verify_es256(digest.digest(), key.key, decode_base64url(text[end + 1 :]), _HASHED)
    except ValueError as error:
        raise InvalidTokenError("bad_signature") from error
    if not good:
        raise InvalidTokenError("bad_signature")


def _decode(text: str, begin: int, end: int) -> Generator[None, None, str]:
    """Return what the part of a JWS between two places holds, as text. Raises ValueError."""
    # A character may begin in one piece and end in the next one.
    decoder, pieces = codecs.getincrementaldecoder("utf-8")(), []
    for start in range(begin, end, _PER_STEP):
        piece = decode_base64url(text[start : min(end, start + _PER_STEP)])
        pieces.append(decoder.decode(piece))
        yield
    return "".join([*pieces, decoder.decode(b"", final=True)])
