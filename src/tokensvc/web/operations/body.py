"""Reading the body of a request: one JSON object, in UTF-8, small, and in time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from tokensvc.core.errors import (
    ContentTooLargeError,
    InvalidInputError,
    InvalidRequestError,
    UnsupportedMediaTypeError,
)
from tokensvc.core.strict_json import parse_json
from tokensvc.web.charset import is_utf8
from tokensvc.web.operations.headers import OF_HEADER

if TYPE_CHECKING:
    from tokensvc.operations.operation import Operation

MOST_BYTES: Final = 64 * 1024
MOST_BYTES_OF_BATCH: Final = 1024 * 1024
_SECONDS: Final = 5.0
_JSON: Final = "application/json"
_WANTED: Final = "send application/json in UTF-8, not compressed"


async def read_object(
    request: web.Request, operation: Operation, patience: float = _SECONDS
) -> dict[str, Any]:
    """Return the JSON object in the body, which must arrive within `patience` seconds.

    No body is an empty object. Raises InvalidInputError, InvalidRequestError, ContentTooLargeError,
    UnsupportedMediaTypeError, HTTPRequestTimeout.
    """
    encoding = request.headers.get("Content-Encoding")
    if encoding is not None and encoding.lower() != "identity":
        raise UnsupportedMediaTypeError(_WANTED, pointer=f"{OF_HEADER}Content-Encoding")
    body = await read_bytes(request, find_most_bytes(operation), patience)
    if not body:
        return {}
    if not operation.changes:
        raise InvalidRequestError(
            "a GET request has no body: send parameters in the query", pointer=""
        )
    if request.content_type != _JSON or not is_utf8(request.charset, body):
        raise UnsupportedMediaTypeError(_WANTED, pointer=f"{OF_HEADER}Content-Type")
    value = parse_json(body)
    if operation.takes_list is not None and isinstance(value, list):
        value = {operation.takes_list: value}
    if not isinstance(value, dict):
        raise InvalidInputError("the body must be a JSON object", pointer="")
    return value


def find_most_bytes(operation: Operation) -> int:
    """Return how many bytes the body of a request may have."""
    return MOST_BYTES_OF_BATCH if operation.is_bulk else MOST_BYTES


async def read_bytes(request: web.Request, most: int, patience: float) -> bytes:
    """Return the body, which has at most `most` bytes and arrives within `patience` seconds.

    Raises InvalidRequestError, ContentTooLargeError, HTTPRequestTimeout.
    """
    if (request.content_length or 0) > most:
        raise ContentTooLargeError(most)
    try:
        if request.content.is_eof():  # all of it is here, so no timer is needed
            return await _collect(request, most)
        async with asyncio.timeout(patience):
            return await _collect(request, most)
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    except web.RequestPayloadError as error:
        raise InvalidRequestError("the body is not what its headers say", pointer="") from error


async def _collect(request: web.Request, most: int) -> bytes:
    # Not `request.read()`, whose limit is that of the application, which is smaller.
    parts, size = [], 0
    async for part in request.content.iter_any():
        size += len(part)
        if size > most:
            raise ContentTooLargeError(most)
        parts.append(part)
    return b"".join(parts)
