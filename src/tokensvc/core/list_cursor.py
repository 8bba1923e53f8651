"""Cursors: where a list is to go on.

A cursor holds the sort key and the id of the last thing that was seen, and belongs to one list with
its filters and its order. It is no secret and grants nothing: it only says where to go on in what
the caller may see.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import TYPE_CHECKING, Final, NamedTuple

from tokensvc.core.base64url import encode_base64url
from tokensvc.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Enough to tell a cursor of another list by mistake; anybody can compute a tag.
_TAG_BYTES: Final = 6
# The longest sort key is a name of 200 characters, which take up to four bytes each.
_MOST_CHARACTERS: Final = 2000


class ListPlace(NamedTuple):
    """A place in a list: the sort key of a thing, as Postgres writes it, and the thing's id."""

    key: str
    id: str


def build_list_cursor(place: ListPlace, name: str, filters: Mapping[str, object]) -> str:
    """Return the cursor of a place in the list `name`, whose filters and order are `filters`."""
    payload = json.dumps(place, ensure_ascii=False).encode()
    return encode_base64url(_build_tag(payload, name, filters) + payload).decode("ascii")


def parse_list_cursor(text: str, name: str, filters: Mapping[str, object]) -> ListPlace:
    """Return the place that a cursor of this very list says. Raises InvalidInputError."""
    try:
        data = _decode(text)
        tag, payload = data[:_TAG_BYTES], data[_TAG_BYTES:]
        place = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise refuse_cursor() from error
    is_place = (
        isinstance(place, list)
        and len(place) == len(ListPlace._fields)
        and all(isinstance(part, str) and "\0" not in part for part in place)
    )
    if not is_place or tag != _build_tag(payload, name, filters):
        raise refuse_cursor()
    return ListPlace(*place)


def refuse_cursor() -> InvalidInputError:
    """Return the error for a cursor that is none of this list."""
    return InvalidInputError(
        "the cursor is no next_cursor of this list with these filters; leave it out to begin anew",
        pointer="/cursor",
    )


def _build_tag(payload: bytes, name: str, filters: Mapping[str, object]) -> bytes:
    # No JSON text holds a zero byte, so it is clear where the payload begins.
    text = json.dumps([name, filters], sort_keys=True, default=str)
    return hashlib.sha256(text.encode() + b"\0" + payload).digest()[:_TAG_BYTES]


def _decode(text: str) -> bytes:
    if len(text) > _MOST_CHARACTERS:
        raise ValueError("too long")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error
