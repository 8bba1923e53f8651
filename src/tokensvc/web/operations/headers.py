"""The headers of operations: versions (RFC 9110 sections 8.8.3 and 13.1), names, limits, lifetime.

An ETag has two parts, as in `"3f2a....9c01"`: the version of the thing, and a digest of what is
sent. What changes by itself, like the time of the last use, changes the second part alone. A change
obeys If-Match by the first part, so that it is not refused because a key was used meanwhile. A
caller that has a copy compares the whole (If-None-Match).
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, time
from email.utils import format_datetime
from typing import TYPE_CHECKING, Final

from tokensvc.core.errors import (
    Fault,
    IdempotencyKeyReusedError,
    InvalidInputError,
    InvalidRequestError,
    VersionConflictError,
)
from tokensvc.web.limit_headers import write_policy, write_rest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from tokensvc.core.errors import TokensvcError
    from tokensvc.core.limit import LimitStatus
    from tokensvc.operations.operation import Operation

OF_HEADER: Final = "#/header/"  # begins a pointer to a header
# Refusals that a use case gives for what only a header can say.
_HEADERS: Final = {VersionConflictError: "If-Match", IdempotencyKeyReusedError: "Idempotency-Key"}
_TAG: Final = re.compile(r'(W/)?"([\x21\x23-\x7e]*)"')
_LIST: Final = re.compile(rf"[ \t,]*{_TAG.pattern}[ \t]*(?:,[ \t,]*{_TAG.pattern}[ \t]*)*,?[ \t]*")
_MOST: Final = 2000
_IDEMPOTENCY_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_DIGEST_LENGTH: Final = 8


def build_etag(version: str, body: bytes) -> str:
    """Return the entity tag of an answer, without quotation marks."""
    return f"{version}.{hashlib.sha256(body).hexdigest()[:_DIGEST_LENGTH]}"


def parse_if_match(operation: Operation, values: Sequence[str]) -> frozenset[str] | None:
    """Return the versions that the caller is ready to change, None for any; {"*"} is any as well.

    Raises InvalidInputError for what is malformed, and where no version is looked at: a caller that
    names one relies on it.
    """
    if not values:
        return None
    if not operation.obeys_if_match:
        raise InvalidRequestError(
            "If-Match has no meaning here: leave it out", pointer=f"{OF_HEADER}If-Match"
        )
    text = ",".join(values).strip()
    if text == "*":
        return frozenset({"*"})
    if len(text) > _MOST or not _LIST.fullmatch(text):
        raise _refuse("If-Match", 'it must be an ETag of ours, like "3f2a....9c01", or *')
    # A weak tag never matches (section 13.1.1), so it stays what no version looks like.
    return frozenset(
        f"W/{tag}" if weak else tag.partition(".")[0] for weak, tag in _TAG.findall(text)
    )


def matches_copy(etag: str, values: Sequence[str]) -> bool:
    """Tell whether the caller has this very answer already (If-None-Match)."""
    text = ",".join(values).strip()
    return text == "*" or any(tag == etag for _, tag in _TAG.findall(text[:_MOST]))


def build_lifetime(operation: Operation) -> dict[str, str]:
    """Return the headers that say how long an operation stays, none if it is not to go."""
    headers = {}
    if operation.deprecated_on is not None:
        headers["Deprecation"] = f"@{int(_begin(operation.deprecated_on).timestamp())}"
    if operation.ends_on is not None:
        headers["Sunset"] = format_datetime(_begin(operation.ends_on), usegmt=True)
    return headers


def build_limit(status: LimitStatus) -> dict[str, str]:
    """Return the headers that tell a limit."""
    return {
        "RateLimit-Policy": write_policy(status.name, status.limit, status.window),
        "RateLimit": write_rest(status.name, status.left, status.resets_in),
    }


def _begin(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def parse_idempotency_key(values: Sequence[str]) -> str | None:
    """Return how the caller names its request, None if it does not.

    It may stand in quotation marks, as draft-ietf-httpapi-idempotency-key-header-07 wants it.
    Raises InvalidInputError.
    """
    if not values:
        return None
    text = values[0].strip()
    if len(values) == 1 and len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if len(values) > 1 or not _IDEMPOTENCY_KEY.fullmatch(text):
        raise _refuse("Idempotency-Key", "send one, of 1 to 255 visible ASCII characters")
    return text


def _refuse(header: str, detail: str) -> InvalidInputError:
    faults = [Fault(OF_HEADER + header, detail)]
    return InvalidInputError(f"{header}: {detail}", faults=faults)


def list_header_faults(error: TokensvcError) -> list[Fault]:
    """Return the fault of the header that an error is about, none if it is about no header."""
    header = _HEADERS.get(type(error))
    return [] if header is None else [Fault(OF_HEADER + header, error.message)]
