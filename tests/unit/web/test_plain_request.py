"""What is read as a plain exchange is what aiohttp reads; everything else is left to it."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import HttpVersion11, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser
from hypothesis import given
from hypothesis import strategies as st

from tokensvc.web.plain_request import read_plain

APP = web.Application()
PATHS = {"/v1/token"}
FORM = "Content-Type: application/x-www-form-urlencoded"
KEY = "Authorization: Bearer tsk-x"
LINE = "POST /v1/token HTTP/1.1"
LINES = st.sampled_from(
    [LINE] * 6
    + ["POST /v1/token HTTP/1.0", "GET /v1/token HTTP/1.1", "POST /v1/token? HTTP/1.1",
       "POST  /v1/token HTTP/1.1", "post /v1/token HTTP/1.1", "POST /v1/Token HTTP/1.1"]
)  # fmt: skip
FIELDS = st.sampled_from(
    [KEY, KEY, FORM, FORM, "Host: x", "Host: x", "Accept: */*", "X-Request-Id:  a ", "X-A:\tb",
     "User-Agent: a b", "Connection: keep-alive", "Connection: close", "Connection: upgrade",
     "Transfer-Encoding: chunked", "Content-Encoding: gzip", "Expect: 100-continue",
     "Upgrade: h2c", "Sec-WebSocket-Key1: a", "Content-Length: 1",
     "X: ", " folded: x", "X : y", "X: \u00fc", "X: a\tb",
     "X: \x0b", "Host:x", "Content-Type: text/plain"]
)  # fmt: skip
BODIES = st.sampled_from([b"", b"audience=api", b"a", b"\r\n\r\n", b"a=\xff"])


def write(line, fields, body, length):
    head = "".join(f"{field}\r\n" for field in (*fields, f"Content-Length: {length}"))
    return f"{line}\r\n{head}\r\n".encode("latin-1") + body


def read_plainly(data):
    return read_plain(data, PATHS, APP, "127.0.0.1")


async def parse(data):
    """Return what aiohttp's parser makes of some bytes: messages, each with its body."""
    loop = asyncio.get_running_loop()
    protocol = BaseProtocol(loop)
    parser = HttpRequestParser(protocol, loop, 2**16, max_line_size=8190, max_field_size=8190)
    messages, is_upgraded, rest = parser.feed_data(data)
    assert (is_upgraded, rest) == (False, b"")
    return [(message, await body.read()) for message, body in messages if body.is_eof()]


@given(LINES, st.lists(FIELDS, max_size=5), BODIES, st.integers(-1, 1))
def test_t33_what_is_read_here_aiohttp_reads_in_the_same_way(line, fields, body, wrong):
    data = write(line, fields, body, len(body) + wrong)
    request = read_plainly(data)
    if request is None:
        return
    ((message, read),) = asyncio.run(parse(data))
    assert (message.method, message.path) == (request.method, request.path)
    assert message.version == HttpVersion11
    assert list(message.headers.items()) == list(request.headers.items())
    assert read == request.body == body
    unusual = message.should_close, message.upgrade, message.chunked, message.compression
    assert not any(unusual)


@pytest.mark.parametrize("more", [(), (FORM,), ("Connection: Keep-Alive",), ("Accept: */*",)])
def test_a_plain_exchange_is_read(more):
    request = read_plainly(write(LINE, ("Host: x", KEY, *more), b"", 0))
    assert request is not None
    assert request.headers.getall("authorization") == ["Bearer tsk-x"]
    assert (request.path, request.remote, request.get("x")) == ("/v1/token", "127.0.0.1", None)


@pytest.mark.parametrize(
    ("fields", "body", "length"),
    [
        ((KEY, KEY), b"", 0),
        ((KEY, "Transfer-Encoding: chunked"), b"", 0),
        ((KEY, "Connection: close"), b"", 0),
        ((KEY, "Expect: 100-continue"), b"", 0),
        ((KEY, "X: "), b"", 0),
        ((KEY, "X: \u00fc"), b"", 0),
        ((KEY, "Content-Type: text/plain"), b"a=b", 3),
        ((KEY, FORM), b"a=b", 4),
        ((KEY, FORM), b"a=b", 2),
        ((KEY, FORM), b"a=b", "03"),
        ((KEY, FORM), b"a=b", "+3"),
        ((KEY, f"X: {'x' * 4096}"), b"", 0),
        (("X-Y: z",) * 41, b"", 0),
    ],
)
def test_t33_what_is_not_plain_is_left_to_aiohttp(fields, body, length):
    assert read_plainly(write(LINE, ("Host: x", *fields), body, length)) is None


def test_a_request_without_a_host_is_left_to_aiohttp():
    assert read_plainly(write(LINE, (KEY,), b"", 0)) is None


def test_t33_two_requests_at_once_are_left_to_aiohttp():
    assert read_plainly(2 * write(LINE, ("Host: x", KEY), b"", 0)) is None
