"""Capabilities and scope: names, and the one rule that a token only ever narrows what its key has (RFC 6749 section 3.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokensvc.core.errors import InvalidInputError, InvalidScopeError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

# Narrower than RFC 6749's scope-token on purpose: survives shells, URLs and headers; wide enough for "rabbitmq.read:*/*".
_NAME = re.compile(r"[A-Za-z0-9*][A-Za-z0-9._:/*-]{0,63}")

ADMIN = "tokensvc:admin"
INTROSPECT = "tokensvc:introspect"  # may ask whether a token is live
FOLLOW = "tokensvc:denylist"  # may follow the feed where that is not open to everybody


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """One name that may stand in `scope`."""

    name: str
    description: str
    created_at: datetime


def parse_capability(text: str) -> str:
    """Return `text` if it can name a capability."""
    if not _NAME.fullmatch(text):
        raise InvalidInputError(
            f"a capability is 1 to 64 letters, digits and . _ : / * - (like orders:read), not {text[:80]!r}"
        )
    return text


def parse_scope(text: str) -> frozenset[str]:
    """Return the capabilities that a `scope` parameter asks for. Order and repetition do not matter."""
    names = text.split(" ")
    if not all(_NAME.fullmatch(name) for name in names):
        raise InvalidScopeError("scope must be capability names separated by single spaces")
    return frozenset(names)


def narrow_scope(asked: frozenset[str] | None, granted: Collection[str]) -> tuple[str, ...]:
    """Return the capabilities of the new token, sorted: all that are granted, or those asked for if every one is granted."""
    if asked is None:
        return tuple(sorted(granted))
    if not asked.issubset(granted):
        raise InvalidScopeError("scope asks for a capability that this key does not have")
    return tuple(sorted(asked))


def build_scope(capabilities: Iterable[str]) -> str:
    """Return the `scope` string of a set of capabilities."""
    return " ".join(capabilities)
