"""What a verifier knows, as text, so that it can begin with that after a restart.

The text is lines of JSON: first all that is known but the entries of the denylist, then the
entries, a thousand to a line, each line with the signing key that vouches for them. The last line
is a digest of everything before it. The digest shows damage; it does not prove who wrote the text.
Nothing in it is secret.

Not here: files, and how old a snapshot may be. The verifier decides that.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tokensvc.core.audit_witness import build_witness, parse_witness
from tokensvc.core.claims import FAR
from tokensvc.core.denylist.position import Position, parse_cursor
from tokensvc.core.denylist.revocation import build_entry, check_moment, parse_entry
from tokensvc.core.denylist.vouched import VouchedDenylist
from tokensvc.core.digest_line import find_content_end
from tokensvc.core.errors import InvalidRequestError
from tokensvc.core.jwks import is_kid

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tokensvc.core.audit_witness import Witness
    from tokensvc.core.denylist.followed import FollowedDenylist
    from tokensvc.core.identifier import Kid

_T = TypeVar("_T")


_FORMAT: Final = 2
# Short lines, so that no single step of reading or writing holds up other threads for long.
_ENTRIES_PER_LINE: Final = 1000


class SnapshotError(Exception):
    """The snapshot cannot be used or written. The text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JwksSnapshot:
    """The JWKS as it was served.

    `max_age`: seconds. `confirmed_at`: when the issuer last confirmed it (seconds since 1970).
    """

    document: bytes
    etag: str | None
    max_age: float
    confirmed_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSnapshot:
    """The denylist, and the position in the feed that it belongs to.

    `page_issued_at`: when the newest page was issued. `confirmed_at`: when the issuer last
    confirmed that nothing is missing. Both are seconds since 1970. `condemned`: signing keys that
    are revoked, and whose revocations are to be dropped. `audit`: what was seen of the audit
    trail.
    """

    position: Position
    page_issued_at: int
    resets: int
    condemned: tuple[Kid, ...]
    confirmed_at: float
    denylist: VouchedDenylist
    audit: dict[str, Any] | None = None

    @classmethod
    def of(
        cls,
        followed: FollowedDenylist,
        position: Position,
        witness: Witness,
        *,
        confirmed_at: float,
    ) -> FeedSnapshot:
        """Return a copy of what `followed` holds at `position`."""
        return cls(
            position=position,
            page_issued_at=followed.page_issued_at,
            resets=followed.resets,
            condemned=tuple(sorted(followed.condemned)),
            confirmed_at=confirmed_at,
            denylist=followed.denylist.copy(),
            audit=build_witness(witness),
        )

    def give_to(self, followed: FollowedDenylist) -> None:
        """Have `followed`, which holds nothing yet, begin with this."""
        followed.denylist = self.denylist
        followed.position, followed.page_issued_at = self.position, self.page_issued_at
        followed.resets, followed.has_all = self.resets, True
        followed.condemned = set(self.condemned)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that is known of one issuer."""

    issuer: str
    jwks: JwksSnapshot | None
    feed: FeedSnapshot | None


def build_snapshot(snapshot: Snapshot) -> Iterator[bytes]:
    """Return the lines of the text."""
    digest = hashlib.sha256()
    for value in _build_values(snapshot):
        line = json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"
        digest.update(line)
        yield line
    yield digest.hexdigest().encode("ascii") + b"\n"


def parse_snapshot(text: bytes, *, issuer: str, now: float, leeway: float) -> Snapshot:
    """Return what the text holds. `now` and `leeway` are seconds.

    Raises SnapshotError if it is damaged, of another issuer, or from the future.
    """
    end = find_content_end(text)
    if end is None:
        raise SnapshotError("it is damaged")
    try:
        # One by one, when they are needed. The digest at the end is not one of them.
        lines = map(json.loads, islice(io.BytesIO(text), text.count(b"\n", 0, end)))
        head = next(lines, None)  # there may be nothing but the digest
        if head is None:
            raise SnapshotError("it is empty")
        if head["format"] != _FORMAT or head["issuer"] != issuer:
            raise SnapshotError("it is of another issuer, or of another version of tokensvc")
        jwks, feed = _parse_jwks(head["jwks"]), _parse_feed(head["denylist"], lines)
    except (ValueError, KeyError, TypeError, RecursionError, InvalidRequestError) as error:
        raise SnapshotError(f"it is malformed: {type(error).__name__}") from error
    for part in (jwks, feed):
        if part is not None and part.confirmed_at > now + leeway:
            raise SnapshotError("it is from the future: a clock is wrong")
    return Snapshot(issuer=issuer, jwks=jwks, feed=feed)


def _build_values(snapshot: Snapshot) -> Iterator[object]:
    jwks, feed = snapshot.jwks, snapshot.feed
    yield {
        "format": _FORMAT,
        "issuer": snapshot.issuer,
        "jwks": None if jwks is None else _build_jwks(jwks),
        "denylist": None if feed is None else _build_feed(feed),
    }
    if feed is not None:
        for signer in feed.denylist.signers:
            entries = map(build_entry, feed.denylist.list_of(signer))
            while some := list(islice(entries, _ENTRIES_PER_LINE)):
                yield [signer, some]


def _build_jwks(jwks: JwksSnapshot) -> dict[str, Any]:
    return {
        "document": jwks.document.decode("utf-8", "surrogateescape"),  # keeps every byte
        "etag": jwks.etag,
        "max_age": jwks.max_age,
        "confirmed_at": jwks.confirmed_at,
    }


def _build_feed(feed: FeedSnapshot) -> dict[str, Any]:
    return {
        "cursor": str(feed.position),
        "page_issued_at": feed.page_issued_at,
        "resets": feed.resets,
        "condemned": feed.condemned,
        "confirmed_at": feed.confirmed_at,
        "audit": feed.audit,
    }


def _parse_jwks(kept: dict[str, Any] | None) -> JwksSnapshot | None:
    if kept is None:
        return None
    return JwksSnapshot(
        document=_typed(kept["document"], str).encode("utf-8", "surrogateescape"),
        etag=None if kept["etag"] is None else _typed(kept["etag"], str),
        max_age=_number(kept["max_age"]),
        confirmed_at=_number(kept["confirmed_at"]),
    )


def _parse_feed(kept: dict[str, Any] | None, lines: Iterable[Any]) -> FeedSnapshot | None:
    if kept is None:
        return None
    denylist = VouchedDenylist()
    for line in lines:
        signer, entries = _typed(line, list)
        denylist.add(map(parse_entry, entries), _kid(signer))
    return FeedSnapshot(
        position=parse_cursor(kept["cursor"]),
        page_issued_at=check_moment(kept["page_issued_at"]),
        resets=check_moment(kept["resets"]),
        condemned=tuple(map(_kid, _typed(kept["condemned"], list))),
        confirmed_at=_number(kept["confirmed_at"]),
        denylist=denylist,
        # Parsed only to check it, because here an error refuses the snapshot.
        audit=build_witness(parse_witness(kept.get("audit"))),
    )


def _typed(value: object, wanted: type[_T]) -> _T:
    if not isinstance(value, wanted):
        raise TypeError(f"expected {wanted.__name__}")
    return value


def _kid(value: object) -> Kid:
    if not is_kid(value):
        raise TypeError("expected the id of a signing key")
    return value


def _number(value: object) -> float:
    """Return a number of seconds. JSON may hold integers that are longer than any float."""
    if not isinstance(value, int | float) or not -FAR < value < FAR:
        raise TypeError("expected a number")
    return float(value)
