"""The audience: for whom tokens are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

from tokensvc.core.errors import InvalidInputError

if TYPE_CHECKING:
    from datetime import datetime, timedelta


# Tokens for this audience are for the service itself: its holder introspects or follows the feed.
OWN_AUDIENCE: Final = "tokensvc"
# Tokens for this one are in the cookies of people who signed in to the dashboard. The API refuses
# them, and the dashboard refuses all others.
DASHBOARD_AUDIENCE: Final = "tokensvc:dashboard"
# The audiences that the start makes, and nobody else.
OWN_AUDIENCES: Final = (OWN_AUDIENCE, DASHBOARD_AUDIENCE)

# The header `typ` of tokens. RFC 9068 wants the first. Some libraries take only the second, which
# says nothing of what a JWT is for.
TokenType = Literal["at+jwt", "JWT"]
TOKEN_TYPES: Final[tuple[TokenType, ...]] = get_args(TokenType)
DEFAULT_TYP: Final[TokenType] = "at+jwt"

_RESERVED_PREFIX: Final = "tokensvc:"
_MAX_LENGTH: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """A relying party, or a group of them, that tokens are made for.

    `token_life` None means the default of the settings. `alg` signs its tokens, as soon as there is
    a key of that algorithm that every cache has. `typ` stands in their header.
    """

    name: str
    description: str
    token_life: timedelta | None
    alg: str
    typ: str
    created_at: datetime


def parse_audience(text: str) -> str:
    """Return `text` if it can name an audience: 1 to 255 visible ASCII characters, often a URL.

    `tokensvc`, and names that begin with `tokensvc:`, are reserved for what the service signs for
    itself. Raises InvalidInputError.
    """
    # A refusal may name the audience, and its text can hold neither quotes nor backslashes (RFC
    # 6749 section 5.2).
    has_length = 1 <= len(text) <= _MAX_LENGTH
    if not has_length or not all("!" <= c <= "~" and c not in '"\\' for c in text):
        raise InvalidInputError(
            f"an audience has 1 to {_MAX_LENGTH} visible ASCII characters, "
            "without quotes, backslashes and spaces"
        )
    # Also in capitals, because people would take `TokenSvc` for the service itself.
    if text.lower() == OWN_AUDIENCE or text.lower().startswith(_RESERVED_PREFIX):
        raise InvalidInputError(
            f"{text[:80]!r} cannot name an audience: {OWN_AUDIENCE} and names that begin with "
            f"{_RESERVED_PREFIX} are reserved for the service itself"
        )
    return text
