"""Reading forms as RFC 6749 wants them: URL-encoded, in UTF-8, small, no parameter twice."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from aiohttp import web

from tokensvc.core.errors import InvalidRequestError, InvalidTargetError
from tokensvc.web.charset import is_utf8

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_BODY: Final = 16 * 1024
_BODY_SECONDS: Final = 5.0
_MAX_FIELDS: Final = 50
FORM: Final = "application/x-www-form-urlencoded"
_PLAIN: Final = re.compile(rb"[A-Za-z0-9_]+=[A-Za-z0-9._~:/-]*")  # one parameter
_TARGETS: Final = frozenset({"audience", "resource"})


async def read_form(request: web.Request, patience: float = _BODY_SECONDS) -> dict[str, str]:
    """Return the parameters of the body, which must arrive within `patience` seconds.

    A parameter without a value counts as absent (RFC 6749 section 3.2). Raises InvalidRequestError,
    InvalidTargetError for a second target, HTTPRequestEntityTooLarge, HTTPRequestTimeout,
    HTTPUnsupportedMediaType.
    """
    if "?" in request.raw_path and request.query_string:
        raise InvalidRequestError(
            "send parameters in the body, not in the URL: URLs end up in logs"
        )
    encoding = request.headers.get("Content-Encoding")
    if encoding is not None and encoding.lower() != "identity":
        raise web.HTTPUnsupportedMediaType
    body = await _read(request, patience)
    if not body:
        return {}
    # Nearly all requests have exactly this header; only another one has to be parsed.
    if request.headers.get("Content-Type") != FORM and (
        request.content_type != FORM or not is_utf8(request.charset, body)
    ):
        raise InvalidRequestError(f"the body must be {FORM}, in UTF-8")
    return parse_form(body)


def parse_form(body: bytes) -> dict[str, str]:
    """Return the parameters in `body`. Raises InvalidRequestError, InvalidTargetError."""
    if _PLAIN.fullmatch(body):  # nearly always, and much cheaper than parsing
        name, _, value = body.decode("ascii").partition("=")
        return {name: value} if value else {}
    try:
        pairs = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError as error:
        raise InvalidRequestError(
            f"the body is not a form in UTF-8 with at most {_MAX_FIELDS} parameters"
        ) from error
    # Postgres has no text that holds it, so every later use of the value would fail.
    if any("\0" in name or "\0" in value for name, value in pairs):
        raise InvalidRequestError("the body holds a NUL character")
    _check_repeated(pairs)
    return {name: value for name, value in pairs if value}


def _check_repeated(pairs: Sequence[tuple[str, str]]) -> None:
    names = [name for name, _ in pairs]
    repeated = {name for name in names if names.count(name) > 1}
    if repeated - _TARGETS:
        raise InvalidRequestError("a parameter stands twice")
    if repeated:
        raise InvalidTargetError("a token is for one audience: audience or resource stands twice")


async def _read(request: web.Request, patience: float) -> bytes:
    try:
        content = request.content
        if content.is_eof():  # all of it is here, so nobody has to wait
            body = content.read_nowait()
            # aiohttp checks its own limit in `read` alone.
            if len(body) > MAX_BODY:
                raise web.HTTPRequestEntityTooLarge(MAX_BODY)
            return body
        async with asyncio.timeout(patience):
            return await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    except web.RequestPayloadError as error:
        raise InvalidRequestError("the body is not what its headers say") from error
