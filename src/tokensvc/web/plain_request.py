"""An exchange that has arrived whole and says nothing unusual, read without aiohttp.

aiohttp makes a parser's message, a stream, a writer, a request and a task of each request, because
any of them may be needed. Of most exchanges none is (decision 0029). Only requests of one narrow
form are read here; whatever differs from it in anything is for aiohttp, so that no request is ever
understood in two ways. A test compares both readings.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from multidict import CIMultiDict

from tokensvc.web.forms import FORM

if TYPE_CHECKING:
    from collections.abc import Container

    from aiohttp import web

_MOST_BYTES: Final = 4096  # an exchange has some hundred
# The request line, and up to 40 fields. A value begins and ends with a visible character, so there
# are no blanks that one reader cuts off and another keeps. No line continues the one before it.
_HEAD: Final = re.compile(
    r"POST (/[A-Za-z0-9._~/-]*) HTTP/1\.1\r\n"
    r"((?:[A-Za-z0-9-]+:[ \t]*[!-~](?:[ -~]*[!-~])?\r\n){1,40})\r\n"
)
_FIELD: Final = re.compile(r"([A-Za-z0-9-]+):[ \t]*([^\r]+)\r\n")
_STAYS: Final = "keep-alive"  # the connection, as it would anyway
_LENGTH: Final = re.compile(r"0|[1-9][0-9]{0,3}", re.ASCII)
# Fields that change how a message is read, or what becomes of the connection.
_UNUSUAL: Final = frozenset(
    {
        "proxy-connection", "keep-alive", "upgrade", "expect", "te", "trailer",
        "transfer-encoding", "content-encoding", "sec-websocket-key1",
    }
)  # fmt: skip


class PlainRequest:
    """As much of a `web.Request` as an exchange and its refusal ask for, and the whole body."""

    __slots__ = ("_notes", "app", "body", "headers", "path", "remote")

    method: Final = "POST"

    def __init__(
        self, app: web.Application, path: str, headers: CIMultiDict[str], body: bytes, remote: str
    ) -> None:
        self.app = app
        self.path = path
        self.headers = headers
        self.body = body
        self.remote = remote
        self._notes: dict[Any, Any] = {}

    def get(self, key: Any) -> Any:  # noqa: ANN401 - as of a request
        """Return what was noted under a key, None if nothing was."""
        return self._notes.get(key)

    def __setitem__(self, key: Any, value: Any) -> None:  # noqa: ANN401 - as of a request
        """Note something."""
        self._notes[key] = value


def read_plain(
    data: bytes, paths: Container[str], app: web.Application, remote: str
) -> PlainRequest | None:
    """Return the request that `data` is, None if aiohttp must read it.

    It is a POST to one of `paths`, and no byte is missing or left over.
    """
    if len(data) > _MOST_BYTES:
        return None
    head, blank, body = data.partition(b"\r\n\r\n")
    if not head.isascii():
        return None
    text = (head + blank).decode("ascii")
    found = _HEAD.fullmatch(text)
    if found is None or found[1] not in paths:
        return None
    pairs = _FIELD.findall(found[2])
    names = {name.lower() for name, _ in pairs}
    headers = CIMultiDict(pairs)
    length = headers.get("Content-Length", "0")
    if (
        # Of a field that comes twice one reader takes the first, and another the last.
        len(names) < len(pairs)
        or "host" not in names
        or not _UNUSUAL.isdisjoint(names)
        or headers.get("Connection", _STAYS).lower() != _STAYS
        or not _LENGTH.fullmatch(length)
        # A part of the body is still to come, or the next request stands behind it.
        or int(length) != len(body)
        or (body and headers.get("Content-Type") != FORM)
    ):
        return None
    return PlainRequest(app, found[1], headers, body, remote)
