"""Which bodies are read as UTF-8."""

from __future__ import annotations

from typing import Final

_UTF8: Final = frozenset({"utf-8", "utf8"})
# In these, what is ASCII means the same. Some libraries name one of them whatever they send.
_LIKE_ASCII: Final = frozenset(
    {"us-ascii", "ascii", "iso-8859-1", "iso8859-1", "latin-1", "latin1", "windows-1252"}
)


def is_utf8(charset: str | None, body: bytes) -> bool:
    """Tell whether a body is UTF-8, going by the charset that its sender names, if it does."""
    named = "utf-8" if charset is None else charset.lower()
    return named in _UTF8 or (named in _LIKE_ASCII and body.isascii())
