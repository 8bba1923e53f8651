"""An answer whose head and body are sent in one piece: tokens, and every refusal.

aiohttp collects the fields of a head in a multidict, completes them and joins them again. For an
exchange that costs a tenth of all its CPU, and every field is known beforehand (decision 0022). A
flood is made of refusals, so they must cost no more than tokens do.
"""

from __future__ import annotations

import functools
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.helpers import rfc822_formatted_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.abc import AbstractStreamWriter

# What every answer says of the service: nothing about what it runs on.
COMMON_FIELDS: Final = {"Server": "tokensvc", "X-Content-Type-Options": "nosniff"}


def write_fields(fields: Mapping[str, str]) -> str:
    """Return the lines of a head. Raises ValueError for a field that would break it."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in fields.items()])
    if lines.count("\r") != len(fields) or lines.count("\n") != len(fields):
        raise ValueError("a field of the head holds a line break")
    return lines


_COMMON_LINES: Final = write_fields(COMMON_FIELDS)


class WholeAnswer:
    """An answer with a body, whose whole head is known. `lines`: the fields that are its own.

    It is what aiohttp's connection asks of an answer, and no more. If the connection ends after it,
    or the client speaks HTTP/1.0 or wants the head alone, aiohttp sends the answer as any other.
    `request_id` is set before it is sent.
    """

    __slots__ = ("_is_last", "_lines", "_usual", "_writer", "body", "request_id", "status")

    def __init__(self, body: bytes, lines: str, status: int = 200) -> None:
        self.status = status
        self.request_id = ""
        self.body = body
        self._lines = lines
        self._is_last = False
        self._usual: web.Response | None = None
        self._writer: AbstractStreamWriter | None = None

    @property
    def fields(self) -> dict[str, str]:
        """The fields of its head that are its own, by name."""
        return dict(line.split(": ", 1) for line in self._lines.splitlines())

    @property
    def keep_alive(self) -> bool | None:
        """Whether the connection stays open."""
        return True if self._usual is None else self._usual.keep_alive

    def force_close(self) -> None:
        """End the connection after this answer."""
        self._is_last = True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Get ready to be sent."""
        if (
            self._is_last
            or not request.keep_alive
            or request.version != HttpVersion11
            or request.method == hdrs.METH_HEAD
        ):
            fields = {**self.fields, "X-Request-Id": self.request_id, **COMMON_FIELDS}
            self._usual = web.Response(body=self.body, status=self.status, headers=fields)
            if self._is_last:
                self._usual.force_close()
            return await self._usual.prepare(request)
        self._writer = request.writer
        return self._writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Send it."""
        if self._usual is not None:
            await self._usual.write_eof(data)
        elif self._writer is not None:
            await self._writer.write_eof(self.build())

    def build(self) -> bytes:
        """Return all of it, as it is sent on a connection that stays open."""
        head = (
            f"{_begin(self.status)}{self._lines}X-Request-Id: {self.request_id}\r\n"
            f"{_COMMON_LINES}Content-Length: {len(self.body)}\r\n"
            f"Date: {rfc822_formatted_time()}\r\n\r\n"
        )
        return head.encode() + self.body


@functools.cache  # statuses are few
def _begin(status: int) -> str:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
