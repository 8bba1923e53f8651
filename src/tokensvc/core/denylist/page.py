"""A page: a slice of the feed, as the JSON object that is signed (`typ: denylist+jwt`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokensvc.core.denylist.position import Position, parse_cursor
from tokensvc.core.denylist.revocation import (
    Revocation,
    build_entry,
    check_moment,
    check_type,
    parse_entry,
)
from tokensvc.core.errors import InvalidPageError, InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What came after the position `after`, up to `cursor`; if `full`, all that is in force there.

    `issued_at` and `expires_at` are seconds since 1970.
    """

    issuer: str
    issued_at: int
    expires_at: int
    cursor: Position
    after: Position | None
    full: bool
    revocations: tuple[Revocation, ...]


def build_page_payload(page: Page) -> dict[str, Any]:
    """Return the JSON object of a page.

    It never has `aud` or `sub`, so that no plain JWT library takes it for a token.
    """
    return {
        "iss": page.issuer,
        "iat": page.issued_at,
        "exp": page.expires_at,
        "cursor": str(page.cursor),
        "after": None if page.after is None else str(page.after),
        "full": page.full,
        "entries": [build_entry(revocation) for revocation in page.revocations],
    }


def parse_page(payload: Mapping[str, Any]) -> Page:
    """Return the page that a verified payload holds. Raises InvalidPageError."""
    try:
        after = payload["after"]
        return Page(
            issuer=check_type(payload["iss"], str),
            issued_at=check_moment(payload["iat"]),
            expires_at=check_moment(payload["exp"]),
            cursor=parse_cursor(check_type(payload["cursor"], str)),
            after=None if after is None else parse_cursor(check_type(after, str)),
            full=check_type(payload["full"], bool),
            revocations=tuple(parse_entry(entry) for entry in check_type(payload["entries"], list)),
        )
    except (KeyError, TypeError, InvalidRequestError) as error:
        raise InvalidPageError(
            f"the denylist page is malformed: {type(error).__name__}", reason="malformed_page"
        ) from error
