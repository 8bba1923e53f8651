"""What a verifier knows, on disk, so that its successor can verify while the issuer is away.

Lines of JSON: what is known without the entries; the entries, a thousand to a line; a digest of all before it. The file is trusted because
of its owner and mode, so one that others may write is not read: the digest shows damage, it does not prove who wrote. Nothing secret is in
it. Not here: how old a snapshot may be, which is for the verifier to say.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
import tempfile
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tokensvc.core.denylist.position import Position, parse_cursor
from tokensvc.core.denylist.revocation import build_entry, parse_entry
from tokensvc.core.denylist.revoked import Denylist
from tokensvc.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

_T = TypeVar("_T")

_FORMAT: Final = 1
_MOST_BYTES: Final = 128 * 1024 * 1024
_ENTRIES_PER_LINE: Final = (
    1000  # so that no single step of making or reading the text holds up other threads for long
)
_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


class SnapshotError(Exception):
    """The snapshot cannot be used or kept; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JwksSnapshot:
    """The JWKS as it was served, and when (wall clock) the issuer confirmed it."""

    document: bytes
    etag: str | None
    max_age: float
    confirmed_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSnapshot:
    """The denylist, the place in the feed that it belongs to, and when (wall clock) the issuer confirmed that nothing is missing."""

    position: Position
    page_issued_at: int
    resets: int
    confirmed_at: float
    denylist: Denylist


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that is kept of one issuer."""

    issuer: str
    jwks: JwksSnapshot | None
    feed: FeedSnapshot | None


def build_snapshot(snapshot: Snapshot) -> Iterator[bytes]:
    """Return the lines of the file."""
    digest = hashlib.sha256()
    for value in _build_values(snapshot):
        line = json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"
        digest.update(line)
        yield line
    yield digest.hexdigest().encode("ascii") + b"\n"


def parse_snapshot(text: bytes, *, issuer: str, now: float, leeway: float) -> Snapshot:
    """Return what the file holds. Raises SnapshotError if it is damaged, of another issuer, or from the future."""
    body, _, digest = text.removesuffix(b"\n").rpartition(b"\n")
    if hashlib.sha256(body + b"\n").hexdigest().encode("ascii") != digest:
        raise SnapshotError("it is damaged")
    try:
        head, *lines = map(json.loads, body.split(b"\n"))
        if head["format"] != _FORMAT or head["issuer"] != issuer:
            raise SnapshotError("it is of another issuer, or of another version of tokensvc")
        snapshot = Snapshot(
            issuer=issuer, jwks=_parse_jwks(head["jwks"]), feed=_parse_feed(head["denylist"], lines)
        )
    except (ValueError, KeyError, TypeError, RecursionError, InvalidRequestError) as error:
        raise SnapshotError(f"it is malformed: {type(error).__name__}") from error
    if any(
        part is not None and part.confirmed_at > now + leeway
        for part in (snapshot.jwks, snapshot.feed)
    ):
        raise SnapshotError("it is from the future: a clock is wrong")
    return snapshot


def load_snapshot(path: Path, *, issuer: str, now: float, leeway: float) -> Snapshot | None:
    """Return what is kept in the file, None if there is no file. Raises SnapshotError if it cannot be used."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - of a descriptor
            _check_owner(os.fstat(descriptor))
            return parse_snapshot(file.read(_MOST_BYTES), issuer=issuer, now=now, leeway=leeway)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SnapshotError(f"it cannot be read: {error.strerror}") from error


def save_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Put the file in place, whole or not at all, readable by its owner alone. Raises SnapshotError."""
    try:
        descriptor, made = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # 0600
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - of a descriptor
                file.writelines(build_snapshot(snapshot))
                file.flush()
                os.fsync(descriptor)
            Path(made).replace(path)
        except BaseException:
            Path(made).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise SnapshotError(f"it cannot be written: {error.strerror}") from error


def _check_owner(facts: os.stat_result) -> None:
    if (
        not stat.S_ISREG(facts.st_mode)
        or facts.st_uid not in {0, os.geteuid()}
        or facts.st_mode & _WRITABLE_BY_OTHERS
    ):
        raise SnapshotError("it must be a file that only this user can write")


def _build_values(snapshot: Snapshot) -> Iterator[object]:
    jwks, feed = snapshot.jwks, snapshot.feed
    yield {
        "format": _FORMAT,
        "issuer": snapshot.issuer,
        "jwks": None if jwks is None else _build_jwks(jwks),
        "denylist": None if feed is None else _build_feed(feed),
    }
    if feed is not None:
        entries = map(build_entry, feed.denylist)
        while line := list(islice(entries, _ENTRIES_PER_LINE)):
            yield line


def _build_jwks(jwks: JwksSnapshot) -> dict[str, Any]:
    document = jwks.document.decode("utf-8", "surrogateescape")
    return {
        "document": document,
        "etag": jwks.etag,
        "max_age": jwks.max_age,
        "confirmed_at": jwks.confirmed_at,
    }


def _build_feed(feed: FeedSnapshot) -> dict[str, Any]:
    place = {
        "cursor": str(feed.position),
        "page_issued_at": feed.page_issued_at,
        "resets": feed.resets,
    }
    return {**place, "confirmed_at": feed.confirmed_at}


def _parse_jwks(kept: dict[str, Any] | None) -> JwksSnapshot | None:
    if kept is None:
        return None
    return JwksSnapshot(
        document=_typed(kept["document"], str).encode("utf-8", "surrogateescape"),
        etag=None if kept["etag"] is None else _typed(kept["etag"], str),
        max_age=_finite(kept["max_age"]),
        confirmed_at=_finite(kept["confirmed_at"]),
    )


def _parse_feed(kept: dict[str, Any] | None, lines: list[list[Any]]) -> FeedSnapshot | None:
    if kept is None:
        return None
    denylist = Denylist()
    for line in lines:
        denylist.add(map(parse_entry, line))
    return FeedSnapshot(
        position=parse_cursor(kept["cursor"]),
        page_issued_at=_typed(kept["page_issued_at"], int),
        resets=_typed(kept["resets"], int),
        confirmed_at=_finite(kept["confirmed_at"]),
        denylist=denylist,
    )


def _typed(value: object, wanted: type[_T]) -> _T:
    if not isinstance(value, wanted):
        raise TypeError(f"expected {wanted.__name__}")
    return value


def _finite(value: object) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError("expected a number")
    return float(value)
