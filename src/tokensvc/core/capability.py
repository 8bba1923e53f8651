"""Capabilities and scope (RFC 6749 section 3.3).

There is one rule: a token has the capabilities of its key, or some of them, and never another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tokensvc.core.errors import InvalidInputError, InvalidScopeError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

ADMIN: Final = "tokensvc:admin"
INTROSPECT: Final = "tokensvc:introspect"  # may ask whether a token is live
FOLLOW: Final = "tokensvc:denylist"  # may follow the feed where that is not open to everybody

# Narrower than the scope-token of RFC 6749 on purpose, so that a name passes through shells, URLs
# and headers unharmed. It is wide enough for "rabbitmq.read:*/*".
_NAME = re.compile(r"[A-Za-z0-9*][A-Za-z0-9._:/*-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """One name that may stand in `scope`."""

    name: str
    description: str
    created_at: datetime


def parse_capability(text: str) -> str:
    """Return `text` if it can name a capability. Raises InvalidInputError."""
    if not _NAME.fullmatch(text):
        raise InvalidInputError(
            "a capability is 1 to 64 letters, digits and . _ : / * - "
            f"(like orders:read), not {text[:80]!r}"
        )
    return text


def parse_scope(text: str) -> frozenset[str]:
    """Return the capabilities that a `scope` parameter asks for. Raises InvalidScopeError.

    Order and repetition do not matter.
    """
    names = text.split(" ")
    if not all(_NAME.fullmatch(name) for name in names):
        raise InvalidScopeError("scope must be capability names separated by single spaces")
    return frozenset(names)


def narrow_scope(asked: frozenset[str] | None, granted: Collection[str]) -> tuple[str, ...]:
    """Return the capabilities of the new token, sorted: those asked for, or all that are granted.

    Raises InvalidScopeError if a single one that is asked for is not granted. Names are compared
    exactly: a `*` in one has no meaning here.
    """
    if asked is None:
        return tuple(sorted(granted))
    if not asked.issubset(granted):
        raise InvalidScopeError("scope asks for a capability that this key does not have")
    return tuple(sorted(asked))


def build_scope(capabilities: Iterable[str]) -> str:
    """Return the `scope` string of a set of capabilities."""
    return " ".join(capabilities)
