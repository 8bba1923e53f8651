"""Capabilities and scope (RFC 6749 section 3.3).

There is one rule: a token has the capabilities of its key, or some of them, and never another.

Capabilities that begin with `tokensvc:` are for calls to the service itself. A token gets them only
when `scope` names them, so that a relying party that is shown an ordinary token holds none of them.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from tokensvc.core.errors import InvalidInputError, InvalidScopeError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

_Names: TypeAlias = tuple[str, ...] | frozenset[str]

ADMIN: Final = "tokensvc:admin"
READ: Final = "tokensvc:read"  # may read everything, and change nothing
KEYS: Final = "tokensvc:keys"  # may manage the keys of its own account, as far as it goes itself
INTROSPECT: Final = "tokensvc:introspect"  # may ask whether a token is live
FOLLOW: Final = "tokensvc:denylist"  # may follow the feed where that is not open to everybody
OWN_CAPABILITIES: Final = (ADMIN, READ, KEYS, INTROSPECT, FOLLOW)  # there from the start, for good

# The prefix of those that a token has only if `scope` names them. The function
# `names_only_own_capabilities` in `sql/functions/` has it as well.
_BY_NAME_ONLY: Final = "tokensvc:"

# Narrower than the scope-token of RFC 6749 on purpose, so that a name passes through shells, URLs
# and headers unharmed. It is wide enough for "rabbitmq.read:*/*".
CAPABILITY_PATTERN: Final = r"[A-Za-z0-9*][A-Za-z0-9._:/*-]{0,63}"
_NAME: Final = re.compile(CAPABILITY_PATTERN)
_MOST_NAMED: Final = 5  # in a refusal


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


def narrow_scope(asked: frozenset[str] | None, granted: _Names) -> tuple[str, ...]:
    """Return the capabilities of the new token, sorted.

    They are those that are asked for. If nothing is asked, they are all that are granted, except
    those that must be named. Raises InvalidScopeError if a single one that is asked for is not
    granted, or if nothing is left. Names are compared exactly: a `*` in one has no meaning here.
    """
    if asked is None:
        given = list_given_unasked(granted)
        if not given:
            raise refuse_unnamed_scope()
        return given
    if not asked.issubset(granted):
        raise refuse_wide_scope(asked, granted)
    return tuple(sorted(asked))


@functools.lru_cache(maxsize=1024)  # most exchanges name no scope, and many keys have the same
def list_given_unasked(granted: _Names) -> tuple[str, ...]:
    """Return those of `granted` that a token has if `scope` is absent, sorted."""
    return tuple(sorted(name for name in granted if not is_for_service(name)))


def is_for_service(name: str) -> bool:
    """Tell whether a capability is for calls to the service itself."""
    return name.startswith(_BY_NAME_ONLY)


def refuse_wide_scope(asked: Iterable[str], granted: Collection[str]) -> InvalidScopeError:
    """Return the refusal of a scope that asks for more than is granted; it names a few of these."""
    beyond = sorted(set(asked) - set(granted))
    more = " ..." if len(beyond) > _MOST_NAMED else ""
    return InvalidScopeError(
        f"scope asks for more than this key or token has: {' '.join(beyond[:_MOST_NAMED])}{more}"
    )


def refuse_unnamed_scope() -> InvalidScopeError:
    """Return the refusal of a request without `scope` that has nothing to give."""
    return InvalidScopeError(
        "scope must name what is wanted: capabilities that begin with tokensvc: are given only "
        "when they are named, and there are no others",
        reason="unnamed_scope",
    )
