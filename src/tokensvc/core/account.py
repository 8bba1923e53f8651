"""The account: owner of API keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tokensvc.core.errors import InvalidInputError

if TYPE_CHECKING:
    from datetime import datetime

    from tokensvc.core.identifier import AccountId
    from tokensvc.core.limit import Limits

AccountState = Literal["active", "suspended"]

NAME_LENGTH = 200
DESCRIPTION_LENGTH = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account: facts with their times. Deleted accounts are not loaded at all.

    `limits` is what was set for it, `minute_limit` and `day_limit` what follows: tokens for all its keys together.
    """

    id: AccountId
    name: str
    created_at: datetime
    suspended_at: datetime | None
    limits: Limits
    minute_limit: int
    day_limit: int

    @property
    def state(self) -> AccountState:
        """Active or suspended."""
        return "active" if self.suspended_at is None else "suspended"


def parse_name(text: str) -> str:
    """Return a name for people (of an account or a key): trimmed, 1 to 200 printable characters."""
    name = text.strip()
    if not 1 <= len(name) <= NAME_LENGTH or not name.isprintable():
        raise InvalidInputError(f"a name must have 1 to {NAME_LENGTH} printable characters")
    return name


def parse_description(text: str) -> str:
    """Return a description: trimmed, at most 2000 characters, line breaks allowed, no other control characters."""
    description = text.strip()
    if len(description) > DESCRIPTION_LENGTH or not all(
        c.isprintable() or c in "\n\t" for c in description
    ):
        raise InvalidInputError(
            f"a description must have at most {DESCRIPTION_LENGTH} printable characters"
        )
    return description
