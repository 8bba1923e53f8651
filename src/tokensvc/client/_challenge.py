"""Whether the response of a relying party says that the token is invalid. Pure.

Only 401 with `WWW-Authenticate: Bearer ... error="invalid_token"` says so (RFC 6750 section 3.1, in
the grammar of RFC 9110 section 11.6.1). Any other 401 asks for something else, and a 403 means that
the token is good.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_UNAUTHORIZED: Final = 401
_LONGEST: Final = 8192  # characters of a header that are read
_NAME: Final = r"[\w!#$%&'*+.^`|~-]+"
# A part of the header is a parameter (name=value, the value quoted or not), or else a scheme.
_PART: Final = re.compile(
    rf"""(?P<name>{_NAME})\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s,"]+))"""
    rf"""|(?P<scheme>{_NAME})""",
    re.ASCII,
)


def refuses_token(status: int, challenges: Iterable[str]) -> bool:
    """Return whether this status and these WWW-Authenticate headers call the token invalid."""
    return status == _UNAUTHORIZED and any(
        find_bearer_error(text) == "invalid_token" for text in challenges
    )


def find_bearer_error(text: str) -> str | None:
    """Return the `error` of the Bearer challenge in a WWW-Authenticate header, None if it has none.

    One header may hold several challenges.
    """
    scheme = ""
    for part in _PART.finditer(text[:_LONGEST]):
        if part["scheme"] is not None:
            scheme = part["scheme"].lower()
        elif scheme == "bearer" and part["name"].lower() == "error":
            return part["plain"] or part["quoted"]
    return None
