"""A page: a slice of the feed, as the JSON object that is signed (`typ: denylist+jwt`).

A page has at most `MOST_ENTRIES` entries. A long denylist comes as a row of pages: the first one is
full, and each other one begins where the one before it ends. The row is complete with the page
whose `cursor` is its `head`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.audit_claim import build_claim, parse_claim
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
    from collections.abc import Generator, Iterable, Iterator, Mapping

    from tokensvc.core.audit_claim import AuditClaim

# A page is no token: libraries that are told an audience refuse it. No audience may have this name.
PAGE_AUDIENCE: Final = "tokensvc:denylist"
# So many are 0.3 to 2 MB: no page takes long to build, to send or to apply.
MOST_ENTRIES: Final = 5000
# Bytes of a signed page, also if each entry in it is as long as an entry can be.
MOST_PAGE_BYTES: Final = 4 * 1024 * 1024

# So many entries are built or read in one step, which takes about a millisecond.
_ENTRIES_PER_STEP: Final = 500
_JSON: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPage:
    """What came after the position `after`, up to `cursor`.

    If `full`, the first part, up to `cursor`, of all that is in force. `head` is the end of the
    feed when the page was signed: up to there the follower must go on. `issued_at` and `expires_at`
    are seconds since 1970. `audit`: what the last page of a row says of the audit trail.
    """

    issuer: str
    issued_at: int
    expires_at: int
    cursor: Position
    head: Position
    after: Position | None
    full: bool
    revocations: tuple[Revocation, ...]
    audit: AuditClaim | None = None

    @property
    def is_last(self) -> bool:
        """Whether a follower that has applied this page lacks nothing."""
        return self.cursor == self.head


def build_page_payload(page: FeedPage) -> dict[str, Any]:
    """Return the JSON object of a page."""
    facts = _build_facts(page)
    return {**facts, "entries": [build_entry(revocation) for revocation in page.revocations]}


def write_page(page: FeedPage, revocations: Iterable[Revocation]) -> Iterator[bytes]:
    """Return the JSON text of a page in pieces, with `revocations` instead of its own.

    Each piece takes about a millisecond, so that the caller can pause in between.
    """
    # The object of the facts is left open, and the list of the entries becomes its last member.
    yield _JSON.encode(_build_facts(page)).removesuffix("}").encode("ascii") + b',"entries":['
    rest, separator = iter(revocations), b""
    while entries := [build_entry(revocation) for revocation in islice(rest, _ENTRIES_PER_STEP)]:
        # Without its brackets, because all pieces together are one list.
        yield separator + _JSON.encode(entries)[1:-1].encode("ascii")
        separator = b","
    yield b"]}"


def parse_feed_page(payload: Mapping[str, Any]) -> Generator[None, None, FeedPage]:
    """Return the page that a verified payload holds, in steps of about a millisecond.

    Raises InvalidPageError.
    """
    try:
        entries = _check_entries(payload)
        revocations: list[Revocation] = []
        for start in range(0, len(entries), _ENTRIES_PER_STEP):
            if start:  # most pages need no pause at all
                yield
            revocations += map(parse_entry, entries[start : start + _ENTRIES_PER_STEP])
        return _parse_facts(payload, tuple(revocations))
    except (KeyError, TypeError, InvalidRequestError) as error:
        raise InvalidPageError(
            f"the denylist page is malformed: {type(error).__name__}", reason="malformed_page"
        ) from error


def _build_facts(page: FeedPage) -> dict[str, Any]:
    audit = {} if page.audit is None else {"audit": build_claim(page.audit)}
    return {
        "iss": page.issuer,
        "aud": PAGE_AUDIENCE,
        "iat": page.issued_at,
        "exp": page.expires_at,
        "cursor": str(page.cursor),
        "head": str(page.head),
        "after": None if page.after is None else str(page.after),
        "full": page.full,
        **audit,
    }


def _check_entries(payload: Mapping[str, Any]) -> list[Any]:
    entries = check_type(payload["entries"], list)
    if payload["aud"] != PAGE_AUDIENCE or len(entries) > MOST_ENTRIES:
        raise TypeError("another audience, or too many entries")
    return entries


def _parse_facts(payload: Mapping[str, Any], revocations: tuple[Revocation, ...]) -> FeedPage:
    after = payload["after"]
    page = FeedPage(
        issuer=check_type(payload["iss"], str),
        issued_at=check_moment(payload["iat"]),
        expires_at=check_moment(payload["exp"]),
        cursor=parse_cursor(check_type(payload["cursor"], str)),
        head=parse_cursor(check_type(payload["head"], str)),
        after=None if after is None else parse_cursor(check_type(after, str)),
        full=check_type(payload["full"], bool),
        revocations=revocations,
        audit=_parse_audit(payload.get("audit")),
    )
    # A page ends at the head or before it. The number of the head with another tag is neither.
    if page.cursor != page.head and page.cursor.seq >= page.head.seq:
        raise TypeError("the cursor lies beyond the head")
    return page


def _parse_audit(value: object) -> AuditClaim | None:
    """Return the claim, None if there is none that can be read: the revocations count anyway."""
    try:
        return None if value is None else parse_claim(value)
    except ValueError:
        return None
