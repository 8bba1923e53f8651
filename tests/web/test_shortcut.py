"""The short way to the exchange: what comes by it is answered as on the usual way."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.integration.things import make_key

from tokensvc.web.runner import ServiceRunner
from tokensvc.web.server import bind_socket
from tokensvc.web.shared_start import SharedStart

VARYING = {"X-Request-Id", "Date", "RateLimit"}


@pytest.fixture
async def port(settings, database_url, started, logs):
    del started, logs
    with SharedStart() as start:
        runner = ServiceRunner(settings, database_url, start, greet=lambda _: None)
        await runner.setup()
        listener = bind_socket(settings)
        await runner.serve(listener)
        await runner.open(lambda: None)
        yield settings.port
        await runner.drain(listener)


async def send(port, line, *fields):
    """Send a request without a body; return (status, fields, body)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = "".join(f"{field}\r\n" for field in ("Host: x", "Content-Length: 0", *fields))
    writer.write(f"{line} HTTP/1.1\r\n{head}\r\n".encode())
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).decode()
    status, *lines = head.strip().split("\r\n")
    got = dict(line.split(": ", 1) for line in lines)
    size = 0 if line.startswith("HEAD") else int(got.get("Content-Length", 0))
    body = await reader.readexactly(size)
    writer.close()
    await writer.wait_closed()
    return status, got, body


@pytest.mark.parametrize("way", ["/v1/token", "/v1/%74oken"], ids=["short", "usual"])
async def test_tokens_and_refusals_are_the_same_on_both_ways(port, database, logs, way):
    key = f"Authorization: Bearer {(await make_key(database)).key.text}"
    status, fields, body = await send(port, f"POST {way}", key)
    assert status == "HTTP/1.1 200 OK"
    assert json.loads(body).keys() == {"access_token", "token_type", "expires_in", "scope"}
    assert fields["Cache-Control"] == "no-store"

    status, fields, body = await send(port, f"POST {way}", f"{key[:-1]}-")
    assert status == "HTTP/1.1 401 Unauthorized"
    assert {name: fields[name] for name in fields.keys() - VARYING} == {
        "Cache-Control": "no-store",
        "Content-Length": str(len(body)),
        "Content-Type": "application/json; charset=utf-8",
        "Pragma": "no-cache",
        "Server": "tokensvc",
        "WWW-Authenticate": 'Bearer realm="tokensvc", error="invalid_client"',
        "X-Content-Type-Options": "nosniff",
    }
    assert {line["route"] for line in logs.find("request")} == {"/v1/token"}


@pytest.mark.parametrize(
    ("line", "field", "status"),
    [
        ("POST /v1/token?scope=x", "X: y", "400 Bad Request"),
        ("GET /v1/token", "X: y", "405 Method Not Allowed"),
        ("HEAD /v1/token", "X: y", "405 Method Not Allowed"),
        ("POST /v1/token", "Expect: the-moon", "417 Expectation Failed"),
        ("POST /v1/token", "Connection: close", "401 Unauthorized"),
    ],
)
async def test_what_differs_from_the_usual_request_is_answered_as_ever(port, line, field, status):
    assert (await send(port, line, field))[0] == f"HTTP/1.1 {status}"


@pytest.mark.parametrize("line", ["POST /v1/token", "GET /livez", "GET /nowhere", "GET /v1/keys"])
async def test_an_expectation_that_we_do_not_meet_has_our_own_answer(port, logs, line):
    status, fields, body = await send(port, line, "Expect: the-moon")
    assert status == "HTTP/1.1 417 Expectation Failed"
    assert (fields["Server"], fields["Cache-Control"]) == ("tokensvc", "no-store")
    assert b"Expect may only be 100-continue" in body
    assert logs.find("request")[-1]["status"] == 417


async def test_what_may_be_expected_is_met(port):
    status, _, _ = await send(port, "GET /livez", "Expect: 100-Continue")
    assert status == "HTTP/1.1 100 Continue"
