"""The denylist: revocations, their positions, the pages that carry them, and the rules by which a follower applies pages.

A revocation names one token (`jti`, which also hits tokens narrowed from it), all tokens of an API key or of an account issued up to a
moment (a watermark, whole seconds), or all tokens that a signing key ever signed, and what was narrowed from them (`kid`). The strictest
that applies wins. An entry dies
120 s after the last token it covers has expired, never earlier.

A position is (`seq`, `tag`). `seq` is gapless in commit order; the tag is random, made when the entry is. A restored or failed-over
database gives numbers out again, but never with the same tag, so whoever asks after a position that does not match gets everything.

Rules for followers, in the manner of TUF's client (specification section 5):

1. same issuer; signature by a key that is not itself denied (the caller checks the signature);
2. a page that has expired, or was issued before the last one, is refused;
3. a delta must begin exactly where the follower stands, and never goes backwards;
4. a snapshot is merged, never a replacement: entries that the follower holds and the snapshot lacks live on until they expire;
   one that lies behind the follower's own position, or differs in its tag, is reported as `reset`.

Not here: fetching, waiting, signing, the decision what a stale list means.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, get_args

from tokensvc.core.errors import InvalidPageError, InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from tokensvc.core.claims import Claims
    from tokensvc.core.identifier import Kid

Kind = Literal["jti", "key", "account", "kid"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
Ending = Literal[
    "token revoked",
    "tokens ended",
    "key disabled",
    "key revoked",
    "key deleted",
    "account suspended",
    "account deleted",
    "signing key revoked",
]
ENDINGS: Final[tuple[Ending, ...]] = get_args(Ending)

_T = TypeVar("_T")

_CURSOR = re.compile(r"(0|[1-9][0-9]{0,17})-([A-Za-z0-9]{1,32})", re.ASCII)
_MAX_ID_LENGTH: Final = 255
_SWEEP_INTERVAL: Final = 10.0
_FAR: Final = 2**53
_REPLICA_SKEW: Final = 5  # replicas confirm their copy at different moments, so `iat` may step back a little between them


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the feed; as text, a cursor: `<seq>-<tag>`."""

    seq: int
    tag: str

    def __str__(self) -> str:
        """Return the cursor."""
        return f"{self.seq}-{self.tag}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """One entry. `exp`: when it may be forgotten; `upto`: the watermark of a key or account, `iat` <= it is denied. Seconds.

    Known to the issuer alone, pages do not carry it: `ending`, what came to its end, and `ended_at`, the watermark not cut to seconds.
    """

    kind: Kind
    value: str
    exp: int
    upto: int | None = None
    ending: Ending | None = field(default=None, compare=False)
    ended_at: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DenylistRow:
    """A revocation as stored: what followers get, and what only operators see."""

    position: Position
    revocation: Revocation
    created_at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A slice of the feed: `entries` after `after` up to `cursor`; or, if `full`, all that is alive at `cursor`."""

    issuer: str
    issued_at: int
    expires_at: int
    cursor: Position
    after: Position | None
    full: bool
    entries: tuple[Revocation, ...]


class Denylist:
    """The revocations in force, for a lookup in constant time. Small: a relying party may hold a hundred thousand (under 20 MB).

    Lookups may come from any thread while one other adds and forgets.
    """

    def __init__(self) -> None:
        self._ends: dict[Kind, dict[str, int]] = {"jti": {}, "kid": {}}  # exp by value
        self._marks: dict[Kind, dict[str, tuple[int, int]]] = {
            "key": {},
            "account": {},
        }  # (exp, upto) by value
        self._next_sweep = 0.0

    def __len__(self) -> int:
        """Return the number of entries held."""
        return sum(map(len, self._ends.values())) + sum(map(len, self._marks.values()))

    def __iter__(self) -> Iterator[Revocation]:
        """Go through the entries held, in no order that means anything."""
        for kind, ends in self._ends.items():
            for value, exp in ends.items():
                yield Revocation(kind=kind, value=value, exp=exp)
        for kind, marks in self._marks.items():
            for value, (exp, upto) in marks.items():
                yield Revocation(kind=kind, value=value, exp=exp, upto=upto)

    def copy(self) -> Denylist:
        """Return a list of its own with the same entries."""
        made = Denylist()
        made._ends = {kind: ends.copy() for kind, ends in self._ends.items()}
        made._marks = {kind: marks.copy() for kind, marks in self._marks.items()}
        return made

    def add(self, entries: Iterable[Revocation]) -> None:
        """Take entries in; of two for the same thing the stricter and longer holds."""
        for entry in entries:
            if entry.upto is None:
                ends = self._ends[entry.kind]
                ends[entry.value] = max(entry.exp, ends.get(entry.value, 0))
            else:
                marks = self._marks[entry.kind]
                exp, upto = marks.get(entry.value, (0, 0))
                marks[entry.value] = (max(entry.exp, exp), max(entry.upto, upto))

    def forget_expired(self, now: float) -> None:
        """Drop what covers no token that could still be alive. Looks at most every ten seconds: a dead entry does no harm."""
        if now < self._next_sweep:
            return
        self._next_sweep = now + _SWEEP_INTERVAL
        self._ends = {
            kind: {value: exp for value, exp in ends.items() if exp > now}
            for kind, ends in self._ends.items()
        }
        self._marks = {
            kind: {value: mark for value, mark in marks.items() if mark[0] > now}
            for kind, marks in self._marks.items()
        }

    def denies_kid(self, kid: str) -> bool:
        """Tell whether a signing key is denied."""
        return kid in self._ends["kid"]

    def find_denial(self, claims: Claims, kid: Kid) -> Revocation | None:
        """Return an entry that covers the token, None if there is none."""
        denial = self._end("jti", claims.jti) or self._end("kid", kid)
        if denial is None and claims.origin_jti is not None:
            denial = self._end("jti", claims.origin_jti)
        if denial is None and claims.origin_kid is not None:
            denial = self._end("kid", claims.origin_kid)
        return (
            denial
            or self._mark("key", claims.client_id, claims.iat)
            or self._mark("account", claims.sub, claims.iat)
        )

    def _end(self, kind: Kind, value: str) -> Revocation | None:
        exp = self._ends[kind].get(value)
        return None if exp is None else Revocation(kind=kind, value=value, exp=exp)

    def _mark(self, kind: Kind, value: str, iat: int) -> Revocation | None:
        mark = self._marks[kind].get(value)
        return (
            None
            if mark is None or iat > mark[1]
            else Revocation(kind=kind, value=value, exp=mark[0], upto=mark[1])
        )


def list_possible_denials(claims: Claims, kid: Kid) -> list[tuple[Kind, str]]:
    """Return whatever an entry that covers the token could name: what `Denylist.find_denial` looks for, for those who ask elsewhere."""
    possible: list[tuple[Kind, str | None]] = [
        ("jti", claims.jti),
        ("jti", claims.origin_jti),
        ("kid", kid),
        ("kid", claims.origin_kid),
    ]
    return [
        *((k, v) for k, v in possible if v is not None),
        ("key", claims.client_id),
        ("account", claims.sub),
    ]


class DenylistLog:
    """The live entries in order of `seq`, as one service process remembers them; cuts pages out of it.

    `denylist` holds the same for a lookup; a reset does not bring back what it has denied.
    """

    def __init__(self) -> None:
        self.head: Position | None = None
        self.denylist = Denylist()
        self._rows: deque[tuple[Position, Revocation]] = deque()
        self._floor: Position | None = (
            None  # the position just before the first row: the oldest that a delta can start from
        )

    def reset(self, rows: Iterable[tuple[Position, Revocation]], head: Position) -> None:
        """Start over from a snapshot of the table."""
        self._rows = deque(rows)
        self.denylist.add(entry for _, entry in self._rows)
        self._floor = self.head = head
        self._floor = None if self._rows else head

    def append(self, rows: Iterable[tuple[Position, Revocation]], head: Position) -> None:
        """Take in what came after the head."""
        newer = list(rows)
        self._rows.extend(newer)
        self.denylist.add(entry for _, entry in newer)
        self.head = head

    def knows(self, position: Position) -> bool:
        """Tell whether a position belongs to this history, as far back as it is remembered."""
        if position in {self.head, self._floor}:
            return True
        for known, _ in reversed(self._rows):
            if known.seq <= position.seq:
                return known == position
        return False

    def __iter__(self) -> Iterator[tuple[Position, Revocation]]:
        """Go through the entries held, oldest first."""
        return iter(self._rows)

    def ends_alive(self, now: float) -> bool:
        """Tell whether the entry at the head is held and alive at `now`, so that the table must have it as well."""
        return bool(self._rows) and self._rows[-1][0] == self.head and self._rows[-1][1].exp > now

    def forget_expired(self, now: float) -> None:
        """Drop dead entries from the old end; one that dies out of order waits for its elders, which costs memory only."""
        self.denylist.forget_expired(now)
        while self._rows and self._rows[0][1].exp <= now:
            self._floor = self._rows.popleft()[0]

    def cut(self, after: Position | None) -> tuple[bool, tuple[Revocation, ...]]:
        """Return (full, entries) for a follower that stands at `after`."""
        if after is not None and after == self.head:
            return False, ()
        if after is not None and after == self._floor:
            return False, tuple(entry for _, entry in self._rows)
        newer: list[Revocation] = []
        for position, entry in reversed(
            self._rows
        ):  # from the new end: the cost is that of the delta
            if position == after:
                return False, tuple(reversed(newer))
            newer.append(entry)
            if after is None or position.seq < after.seq:
                break
        return True, tuple(entry for _, entry in self._rows)


def parse_cursor(text: str) -> Position:
    """Return the position that a cursor names. Raises InvalidRequestError."""
    match = _CURSOR.fullmatch(text)
    if match is None:
        raise InvalidRequestError(
            "after must be a cursor from an earlier page, like 42-9f86d081884c7d65"
        )
    return Position(int(match[1]), match[2])


def build_page_payload(page: Page) -> dict[str, Any]:
    """Return the JSON object of a page. Never `aud` or `sub`: no plain JWT library must take it for a token."""
    return {
        "iss": page.issuer,
        "iat": page.issued_at,
        "exp": page.expires_at,
        "cursor": str(page.cursor),
        "after": None if page.after is None else str(page.after),
        "full": page.full,
        "entries": [build_entry(entry) for entry in page.entries],
    }


def parse_page(payload: Mapping[str, Any]) -> Page:
    """Return the page that a verified payload holds. Raises InvalidPageError."""
    try:
        after = payload["after"]
        return Page(
            issuer=_typed(payload["iss"], str),
            issued_at=_moment(payload["iat"]),
            expires_at=_moment(payload["exp"]),
            cursor=parse_cursor(_typed(payload["cursor"], str)),
            after=None if after is None else parse_cursor(_typed(after, str)),
            full=_typed(payload["full"], bool),
            entries=tuple(parse_entry(entry) for entry in _typed(payload["entries"], list)),
        )
    except (KeyError, TypeError, InvalidRequestError) as error:
        raise InvalidPageError(
            f"the denylist page is malformed: {type(error).__name__}", reason="malformed_page"
        ) from error


@dataclass(slots=True)
class Follower:
    """What a follower knows: the list, where it stands, how fresh that is. `apply` enforces the rules above."""

    issuer: str
    denylist: Denylist
    position: Position | None = None
    page_issued_at: int = 0
    resets: int = 0

    def apply(self, page: Page, *, now: float, leeway: float) -> bool:
        """Take a page in; return True if the issuer's history was found reset. Raises InvalidPageError and then changes nothing."""
        self._check(page, now, leeway)
        reset = page.full and self.position is not None and _contradicts(page.cursor, self.position)
        self.denylist.add(page.entries)
        self.denylist.forget_expired(now)
        self.position, self.page_issued_at = page.cursor, max(self.page_issued_at, page.issued_at)
        self.resets += reset
        return reset

    def _check(self, page: Page, now: float, leeway: float) -> None:
        if page.issuer != self.issuer:
            raise _refused("wrong_issuer")
        if page.expires_at + leeway <= now or page.issued_at - leeway > now:
            raise _refused("page_out_of_date")
        oldest = self.page_issued_at - _REPLICA_SKEW
        if page.full and self.position is not None and _contradicts(page.cursor, self.position):
            oldest = (
                self.page_issued_at + 1
            )  # a history that goes back is believed only if it is certainly newer
        if page.issued_at < oldest:
            raise _refused("page_replayed")
        if not page.full and (page.after is None or page.after != self.position):
            raise _refused("page_not_contiguous")
        if not page.full and page.after is not None and _contradicts(page.cursor, page.after):
            raise _refused("page_goes_backwards")


def _contradicts(cursor: Position, held: Position) -> bool:
    return cursor.seq < held.seq or (cursor.seq == held.seq and cursor.tag != held.tag)


def _refused(reason: str) -> InvalidPageError:
    return InvalidPageError(
        "the denylist page is refused: " + reason.replace("_", " "), reason=reason
    )


def build_entry(entry: Revocation) -> dict[str, Any]:
    """Return the JSON object of an entry."""
    built: dict[str, Any] = {entry.kind: entry.value, "exp": entry.exp}
    if entry.upto is not None:
        built["upto"] = entry.upto
    return built


def parse_entry(entry: Any) -> Revocation:  # noqa: ANN401 - whatever JSON held
    """Return the entry that a JSON object holds. Raises KeyError or TypeError."""
    kinds = [kind for kind in KINDS if kind in _typed(entry, dict)]
    if len(kinds) != 1:
        raise TypeError("an entry names exactly one thing")
    kind = kinds[0]
    value = _typed(entry[kind], str)
    if not 0 < len(value) <= _MAX_ID_LENGTH:
        raise TypeError("an entry names something")
    upto = _moment(entry["upto"]) if kind in {"key", "account"} else None
    return Revocation(kind=kind, value=value, exp=_moment(entry["exp"]), upto=upto)


def _moment(value: object) -> int:
    seconds = _typed(value, int)
    if not 0 <= seconds < _FAR:
        raise TypeError("expected seconds since 1970")
    return seconds


def _typed(value: object, wanted: type[_T]) -> _T:
    if type(value) is not wanted:
        raise TypeError(f"expected {wanted.__name__}")
    return value
