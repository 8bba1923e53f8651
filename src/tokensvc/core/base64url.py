"""Base64url without padding, as JWS, JWK and our own codes write bytes (RFC 7515 section 2)."""

from __future__ import annotations

import binascii
from typing import Final

_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")


def encode_base64url(data: bytes) -> bytes:
    """Return the text for `data`, in ASCII."""
    # As base64.urlsafe_b64encode, which takes three more calls.
    return binascii.b2a_base64(data, newline=False).translate(_URL_SAFE).rstrip(b"=")


def decode_base64url(text: str) -> bytes:
    """Return the bytes that `text` stands for. Raises ValueError.

    A character that is not of base64url is passed over: the caller has checked the form before.
    """
    padding = b"=" * (-len(text) % 4)
    return binascii.a2b_base64(text.encode("ascii").translate(_FROM_URL_SAFE) + padding)
