"""What is no HTTP is answered before there is a request: with a constant text.

The server does not name what it runs on.
"""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from testbed.waiting import PATIENCE, until

from tokensvc.web.connections import Connections
from tokensvc.web.limit_log import LimitLog
from tokensvc.web.protocol import Server

KEY = "tsk-" + "a" * 32

POST = "POST /v1/token HTTP/1.1\r\nHost: x\r\n"
CHUNKED = f"{POST}Transfer-Encoding: chunked\r\n"
MALFORMED = {
    "space before the colon": f"{POST}Authorization : Bearer {KEY}\r\n\r\n",
    "control character in a name": f"{POST}A\x01: Bearer {KEY}\r\n\r\n",
    "control character in a value": f"{POST}User-Agent: \x1b[31m{KEY}\r\n\r\n",
    "line feed alone in a value": f"{POST}User-Agent: x\nX: {KEY}\r\n\r\n",
    "NUL in the path": f"POST /v1/token?{KEY}\0 HTTP/1.1\r\nHost: x\r\n\r\n",
    "two different lengths": f"{POST}X: {KEY}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "a length that is no number": f"{POST}X: {KEY}\r\nContent-Length: +1\r\n\r\n",
    "chunks that are none": f"{CHUNKED}X: {KEY}\r\n\r\n{KEY}\r\n",
    "a length and chunks": f"{CHUNKED}X: {KEY}\r\nContent-Length: 1\r\n\r\n",
    "a long header": f"{POST}Authorization: Bearer {KEY * 3000}\r\n\r\n",
    "no HTTP at all": f"{KEY}\r\n\r\n",
}


@pytest.fixture
def port(runner, settings):
    del runner
    return settings.port


async def test_t33_a_malformed_request_gets_a_constant_answer(port, logs, subtests):
    for request_text in MALFORMED.values():
        with subtests.test(msg=request_text):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request_text.encode("latin-1"))
            answer = (await asyncio.wait_for(reader.read(), PATIENCE)).decode()
            writer.close()
            await writer.wait_closed()
            head, _, body = answer.partition("\r\n\r\n")
            assert head.startswith(("HTTP/1.1 400", "HTTP/1.0 400"))
            assert (
                body
                == '{"error": "invalid_request", "error_description": "the request is malformed"}'
            )
            assert "Server: tokensvc" in head
            assert "aaaa" not in logs.stream.getvalue()


class _Failing:
    """Reads an exchange, and fails where nothing is expected to fail."""

    def read(self, _data, _remote):
        return self

    async def answer_plain(self, _request):
        raise MemoryError


async def test_a_fault_where_none_is_expected_ends_the_connection():
    async def never(_request):
        raise AssertionError

    watched = Connections(LimitLog(), most=10)
    server = Server(never, watched=watched)
    server.shortcut = _Failing()  # type: ignore[assignment]
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)
    listening = await loop.create_server(server, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
    writer.write(b"POST /v1/token HTTP/1.1\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
    await until(lambda: not watched.has_silent)
    writer.close()
    listening.close()
    loop.set_exception_handler(None)
