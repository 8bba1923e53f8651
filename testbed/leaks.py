"""Secrets that stand where no secret belongs."""

from __future__ import annotations

import re
from typing import Final

API_KEY: Final = r"(?<![0-9A-Za-z-])tsk-[0-9A-Za-z]{32}(?![0-9A-Za-z-])"
_TOKEN: Final = r"eyJ[0-9A-Za-z_-]+\.[0-9A-Za-z_-]+\.[0-9A-Za-z_-]+"
_NOTICE_SECRET: Final = r"whsec_[0-9A-Za-z+/]{20,}"
_URL_PASSWORD: Final = r"(?<=://)(?!user:password@host)[^/@\s\"']+:[^/@\s\"']+(?=@)"


def find_secrets(text: str) -> list[str]:
    """Return every secret that stands in `text`: keys, tokens, passwords in URLs and others."""
    return re.findall(rf"{API_KEY}|{_TOKEN}|PRIVATE KEY|{_URL_PASSWORD}|{_NOTICE_SECRET}", text)
