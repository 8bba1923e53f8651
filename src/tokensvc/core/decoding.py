"""Texts in files, however the editor or the shell that wrote them encodes a text."""

from __future__ import annotations

import codecs
from typing import Final

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode_text(data: bytes) -> str:
    """Return a text in UTF-8, or in what the mark at its beginning says, as PowerShell writes it.

    Raises UnicodeDecodeError.
    """
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    return data.decode(encoding)
