"""Identifiers: what each looks like, and how new ones are made.

`acct_...` and `key_...` can never be mistaken for each other, and nobody outside chooses them (RFC 9700 section 4.15).
"""

from __future__ import annotations

import re
import secrets
import string
from typing import NewType

from tokensvc.core.errors import InvalidInputError

AccountId = NewType("AccountId", str)
KeyId = NewType("KeyId", str)
Jti = NewType("Jti", str)
Kid = NewType("Kid", str)

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase

_PUBLIC_ID_LENGTH = 16  # 95 random bits: public names, unique for certain by a constraint
_JTI_LENGTH = 20  # 119 random bits: never stored, so uniqueness rests on them alone
_JTI = re.compile(rf"[0-9A-Za-z]{{{_JTI_LENGTH}}}", re.ASCII)


# Bytes to characters, four to each. The eight bytes that are left over are thrown away: taking them too would favour eight characters.
_DIGITS = (BASE62 * 5).encode("ascii")[:256]
_LEFT_OVER = bytes(range(248, 256))


def new_base62(length: int) -> str:
    """Return `length` random base62 characters (5.95 bits each)."""
    characters = b""
    while len(characters) < length:
        characters += secrets.token_bytes(length + 12).translate(_DIGITS, _LEFT_OVER)
    return characters[:length].decode("ascii")


def new_account_id() -> AccountId:
    """Return a fresh account id, `acct_` and 16 characters."""
    return AccountId("acct_" + new_base62(_PUBLIC_ID_LENGTH))


def new_key_id() -> KeyId:
    """Return a fresh API key id, `key_` and 16 characters: the public half, which may be logged."""
    return KeyId("key_" + new_base62(_PUBLIC_ID_LENGTH))


def new_jti() -> Jti:
    """Return a fresh token id (RFC 7519 section 4.1.7)."""
    return Jti(new_base62(_JTI_LENGTH))


def parse_jti(text: str) -> Jti:
    """Return `text` if it is the id of a token that we could have issued. Raises InvalidInputError."""
    if not _JTI.fullmatch(text):
        raise InvalidInputError(
            f"the id of a token is {_JTI_LENGTH} letters and digits: its claim jti"
        )
    return Jti(text)
