"""The answer with a token is sent in one piece, and looks as if aiohttp had sent it."""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.things import make_key

EVERY_FIELD = {
    "Content-Type", "Cache-Control", "Pragma", "RateLimit-Policy", "RateLimit", "X-Request-Id",
    "Server", "X-Content-Type-Options", "Content-Length", "Date",
}  # fmt: skip


@pytest.mark.parametrize(
    ("version", "connection", "stays", "more"),
    [
        ("1.1", None, True, set()),
        ("1.1", "close", False, {"Connection"}),
        ("1.0", None, False, set()),
        ("1.0", "keep-alive", True, {"Connection"}),
    ],
)
async def test_the_head_is_whole_and_the_connection_stays_if_the_client_wants_that(
    client, database, version, connection, stays, more
):
    key = (await make_key(database)).key.text
    reader, writer = await asyncio.open_connection(client.host, client.port)
    said = "" if connection is None else f"Connection: {connection}\r\n"
    writer.write(
        f"POST /v1/token HTTP/{version}\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        f"{said}Content-Length: 0\r\n\r\n".encode()
    )
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    status, *lines = head.strip().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines)
    assert status.split(" ", 1)[1] == "200 OK"
    assert fields.keys() == EVERY_FIELD | more
    assert b'"access_token"' in await reader.readexactly(int(fields["Content-Length"]))
    if not stays:
        assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
