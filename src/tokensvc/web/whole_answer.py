"""An answer whose head and body are sent in one piece: tokens, and every refusal.

aiohttp collects the fields of a head in a multidict, completes them and joins them again. For an
exchange that costs a tenth of all its CPU, and every field is known beforehand (decision 0022). A
flood is made of refusals, so they must cost no more than tokens do.
"""

from __future__ import annotations

import functools
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.helpers import rfc822_formatted_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.abc import AbstractStreamWriter


class WholeAnswer(web.Response):
    """An answer with a body, whose whole head is known. `fields`: those of its head, by name.

    If the connection ends after it, or the client speaks HTTP/1.0 or wants the head alone, aiohttp
    sends the answer as any other.
    """

    def __init__(self, body: bytes, fields: Mapping[str, str], status: int = 200) -> None:
        super().__init__(body=body, status=status)
        self._whole_body = body
        self._fields = dict(fields)
        self._writer: AbstractStreamWriter | None = None

    @property
    def fields(self) -> Mapping[str, str]:
        """The fields of its head that are its own, by name."""
        return self._fields

    @property
    def keep_alive(self) -> bool | None:
        """Whether the connection stays open; None if the request decides that."""
        return super().keep_alive if self._writer is None else True

    def add_fields(self, fields: Mapping[str, str]) -> None:
        """Add fields to the head."""
        self._fields |= fields

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Get ready to be sent."""
        is_last = self.keep_alive is False or not request.keep_alive
        if is_last or request.version != HttpVersion11 or request.method == hdrs.METH_HEAD:
            self.headers.update(self._fields)
            return await super().prepare(request)
        self._writer = request.writer
        return self._writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Send it. Raises ValueError for a field that would break the head."""
        if self._writer is None:
            await super().write_eof(data)
            return
        fields = "".join([f"{name}: {value}\r\n" for name, value in self._fields.items()])
        if fields.count("\r") != len(self._fields) or fields.count("\n") != len(self._fields):
            raise ValueError("a field of the head holds a line break")
        head = (
            f"{_begin(self.status)}{fields}Content-Length: {len(self._whole_body)}\r\n"
            f"Date: {rfc822_formatted_time()}\r\n\r\n"
        )
        await self._writer.write_eof(head.encode() + self._whole_body)


@functools.cache  # statuses are few
def _begin(status: int) -> str:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
