"""The account, which owns API keys, and the texts that people give to things."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from tokensvc.core.errors import InvalidInputError

if TYPE_CHECKING:
    from datetime import datetime

    from tokensvc.core.identifier import AccountId
    from tokensvc.core.limit import Limits

AccountState = Literal["active", "suspended"]

_MAX_NAME_LENGTH: Final = 200
_MAX_DESCRIPTION_LENGTH: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """The mailbox that is told of the keys of an account: one of its endpoints."""

    address: str
    endpoint_id: str
    confirmed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account: facts with their times. A deleted account is never loaded.

    `limits` is what was set for it. `minute_limit` and `day_limit` are how many tokens all its keys
    together may get: they follow from `limits` and from its tier.
    """

    id: AccountId
    name: str
    created_at: datetime
    suspended_at: datetime | None
    limits: Limits
    minute_limit: int
    day_limit: int
    contact: Contact | None = None

    @property
    def state(self) -> AccountState:
        """Whether it is active or suspended."""
        return "active" if self.suspended_at is None else "suspended"


def parse_name(text: str) -> str:
    """Return the name of an account or a key, trimmed: 1 to 200 printable characters.

    Raises InvalidInputError.
    """
    name = text.strip()
    if not 1 <= len(name) <= _MAX_NAME_LENGTH or not name.isprintable():
        raise InvalidInputError(f"a name must have 1 to {_MAX_NAME_LENGTH} printable characters")
    return name


def parse_description(text: str) -> str:
    """Return a description, trimmed: at most 2000 printable characters, line breaks and tabs.

    Raises InvalidInputError.
    """
    description = text.strip()
    in_one_line = description.replace("\n", " ").replace("\t", " ")
    if len(description) > _MAX_DESCRIPTION_LENGTH or not in_one_line.isprintable():
        raise InvalidInputError(
            f"a description must have at most {_MAX_DESCRIPTION_LENGTH} printable characters"
        )
    return description
