"""Whether a relying party's answer says that the token is bad (RFC 6750 section 3.1, in the grammar of RFC 9110 section 11.6.1). Pure.

Only 401 with `Bearer ... error="invalid_token"` does. A 401 without it asks for something else, and a 403 means that the token is good.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_UNAUTHORIZED: Final = 401
_LONGEST: Final = 8192
_PART = re.compile(
    r"""(?P<name>[\w!#$%&'*+.^`|~-]+)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s,"]+))"""  # a parameter
    r"""|(?P<scheme>[\w!#$%&'*+.^`|~-]+)""",
    re.ASCII,
)


def refuses_token(status: int, challenges: Iterable[str]) -> bool:
    """Return whether an answer with this status and these WWW-Authenticate headers says that the token is invalid."""
    return status == _UNAUTHORIZED and any(
        find_bearer_error(text) == "invalid_token" for text in challenges
    )


def find_bearer_error(text: str) -> str | None:
    """Return the `error` of the Bearer challenge in one WWW-Authenticate header, which may hold several challenges."""
    scheme = ""
    for part in _PART.finditer(text[:_LONGEST]):
        if part["scheme"] is not None:
            scheme = part["scheme"].lower()
        elif scheme == "bearer" and part["name"].lower() == "error":
            return part["plain"] or part["quoted"]
    return None
