"""Identifiers: what each looks like, and how new ones are made.

`acct_...` and `key_...` cannot be confused with each other, and no client chooses its own (RFC 9700
section 4.15).
"""

from __future__ import annotations

import re
import secrets
import string
from typing import Final, NewType

from tokensvc.core.errors import InvalidInputError

AccountId = NewType("AccountId", str)
KeyId = NewType("KeyId", str)
Jti = NewType("Jti", str)
Kid = NewType("Kid", str)

BASE62: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase

_PUBLIC_ID_LENGTH: Final = 16  # 95 random bits; a constraint in Postgres makes them unique
_JTI_LENGTH: Final = 20  # 119 random bits; never stored, so that alone makes them unique
ACCOUNT_ID_PATTERN: Final = r"acct_[0-9A-Za-z]{16}"
KEY_ID_PATTERN: Final = r"key_[0-9A-Za-z]{16}"
ENDPOINT_ID_PATTERN: Final = r"hook_[0-9A-Za-z]{16}"
KID_PATTERN: Final = r"[A-Za-z0-9_-]{43}"  # of our own keys: a thumbprint of RFC 7638
_KID: Final = re.compile(KID_PATTERN, re.ASCII)
_ACCOUNT_ID: Final = re.compile(ACCOUNT_ID_PATTERN, re.ASCII)
_KEY_ID: Final = re.compile(KEY_ID_PATTERN, re.ASCII)
_ENDPOINT_ID: Final = re.compile(ENDPOINT_ID_PATTERN, re.ASCII)
_JTI: Final = re.compile(rf"[0-9A-Za-z]{{{_JTI_LENGTH}}}", re.ASCII)

# Which character stands for each of the 256 bytes: four bytes for each of the 62 characters. Eight
# bytes are left over and thrown away, because eight characters would be likelier otherwise.
_DIGITS: Final = (BASE62 * 5).encode("ascii")[:256]
_LEFT_OVER: Final = bytes(range(248, 256))


def new_base62(length: int) -> str:
    """Return `length` random base62 characters (5.95 bits each)."""
    characters = b""
    # One byte in 32 is thrown away, so with some more than needed once is nearly always enough.
    while len(characters) < length:
        characters += secrets.token_bytes(length + length // 16 + 12).translate(_DIGITS, _LEFT_OVER)
    return characters[:length].decode("ascii")


def new_account_id() -> AccountId:
    """Return a fresh account id, `acct_` and 16 characters."""
    return AccountId("acct_" + new_base62(_PUBLIC_ID_LENGTH))


def new_key_id() -> KeyId:
    """Return a fresh API key id, `key_` and 16 characters: the public half, which may be logged."""
    return KeyId("key_" + new_base62(_PUBLIC_ID_LENGTH))


def new_endpoint_id() -> str:
    """Return a fresh id of an endpoint of notices, `hook_` and 16 characters."""
    return "hook_" + new_base62(_PUBLIC_ID_LENGTH)


def new_jti() -> Jti:
    """Return a fresh token id (RFC 7519 section 4.1.7)."""
    return Jti(new_base62(_JTI_LENGTH))


def new_jtis(number: int) -> list[Jti]:
    """Return so many fresh token ids, at a fraction of the cost of `new_jti` for each."""
    text = new_base62(number * _JTI_LENGTH)
    return [Jti(text[at : at + _JTI_LENGTH]) for at in range(0, len(text), _JTI_LENGTH)]


def parse_account_id(text: str) -> AccountId:
    """Return `text` if it looks like the id of an account. Raises InvalidInputError."""
    if not _ACCOUNT_ID.fullmatch(text):
        raise InvalidInputError("the id of an account is acct_ and 16 letters and digits")
    return AccountId(text)


def parse_key_id(text: str) -> KeyId:
    """Return `text` if it looks like the id of an API key. Raises InvalidInputError.

    The message does not repeat it: it may be the key itself.
    """
    if not _KEY_ID.fullmatch(text):
        raise InvalidInputError(
            "the id of an API key is key_ and 16 letters and digits; it is not the key itself"
        )
    return KeyId(text)


def parse_endpoint_id(text: str) -> str:
    """Return `text` if it looks like the id of an endpoint of notices. Raises InvalidInputError."""
    if not _ENDPOINT_ID.fullmatch(text):
        raise InvalidInputError("the id of an endpoint is hook_ and 16 letters and digits")
    return text


def parse_kid(text: str) -> Kid:
    """Return `text` if it looks like the id of a signing key. Raises InvalidInputError."""
    if not _KID.fullmatch(text):
        raise InvalidInputError("the id of a signing key is 43 letters, digits, - and _")
    return Kid(text)


def parse_jti(text: str) -> Jti:
    """Return `text` if it looks like the id of a token of ours. Raises InvalidInputError."""
    if not _JTI.fullmatch(text):
        raise InvalidInputError(
            f"the id of a token is {_JTI_LENGTH} letters and digits: its claim jti"
        )
    return Jti(text)
