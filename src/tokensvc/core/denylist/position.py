"""Positions in the feed.

A position is (`seq`, `tag`). `seq` has no gaps and follows the order of commits. `tag` is random
and made together with the revocation. A database that was restored or failed over gives numbers out
again, but never with the same tag: a follower that asks after a position that does not match gets
all revocations.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Final

from tokensvc.core.errors import InvalidRequestError

# At most 18 digits, so that the number fits into the 64 bits that Postgres has for it.
_CURSOR: Final = re.compile(r"(0|[1-9][0-9]{0,17})-([A-Za-z0-9]{1,32})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the feed. As text it is a cursor: `<seq>-<tag>`."""

    seq: int
    tag: str

    def __str__(self) -> str:
        """Return the cursor."""
        return f"{self.seq}-{self.tag}"


def new_tag() -> str:
    """Return a fresh tag of 64 random bits."""
    return secrets.token_hex(8)


def parse_cursor(text: str) -> Position:
    """Return the position that a cursor names. Raises InvalidRequestError."""
    match = _CURSOR.fullmatch(text)
    if match is None:
        raise InvalidRequestError(
            "after must be a cursor from an earlier page, like 42-9f86d081884c7d65"
        )
    return Position(int(match[1]), match[2])


def contradicts(cursor: Position, held: Position) -> bool:
    """Tell whether a history that ends at `cursor` cannot be the one that `held` belongs to."""
    return cursor.seq < held.seq or (cursor.seq == held.seq and cursor.tag != held.tag)
