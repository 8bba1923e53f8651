"""The short way to the exchange: what comes by it is answered as on the usual way."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import socket
import struct

import pytest
from testbed.waiting import PATIENCE, until
from tests.integration.things import make_key

from tokensvc.web.app_keys import IN_FLIGHT

IS_WAITING = "select exists (select from pg_stat_activity where wait_event_type = 'Lock')"
VARYING = {"X-Request-Id", "Date", "RateLimit"}


@pytest.fixture
def port(runner, settings):
    del runner
    return settings.port


def write(line, *fields):
    """Return a request without a body."""
    head = "".join(f"{field}\r\n" for field in ("Host: x", "Content-Length: 0", *fields))
    return f"{line} HTTP/1.1\r\n{head}\r\n".encode()


async def read(reader, *, has_body=True):
    """Read an answer; return (status, fields, body)."""
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)).decode()
    status, *lines = head.strip().split("\r\n")
    got = dict(line.split(": ", 1) for line in lines)
    body = await reader.readexactly(int(got.get("Content-Length", 0)) if has_body else 0)
    return status, got, body


@contextlib.asynccontextmanager
async def connected(port):
    """Open a connection for the length of the block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    yield reader, writer
    writer.close()
    await writer.wait_closed()


async def send(port, line, *fields):
    """Send a request without a body on a connection of its own; return what `read` does."""
    async with connected(port) as (reader, writer):
        writer.write(write(line, *fields))
        return await read(reader, has_body=not line.startswith("HEAD"))


@pytest.mark.parametrize(
    ("way", "more"),
    [("/v1/token", "X: y"), ("/v1/token", "Keep-Alive: 9"), ("/v1/%74oken", "X: y")],
    ids=["plain", "past the router", "usual"],
)
async def test_tokens_and_refusals_are_the_same_on_all_ways(port, database, logs, way, more):
    key = f"Authorization: Bearer {(await make_key(database)).key.text}"
    status, fields, body = await send(port, f"POST {way}", key, more)
    assert status == "HTTP/1.1 200 OK"
    assert json.loads(body).keys() == {"access_token", "token_type", "expires_in", "scope"}
    assert fields["Cache-Control"] == "no-store"

    status, fields, body = await send(port, f"POST {way}", f"{key[:-1]}-", more)
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


async def test_a_connection_may_carry_plain_exchanges_and_then_anything(port, database):
    key = f"Authorization: Bearer {(await make_key(database)).key.text}"
    exchange, livez = write("POST /v1/token", key), write("GET /livez")
    async with connected(port) as (reader, writer):
        for request in (exchange, exchange, livez, exchange, livez):
            writer.write(request)
            assert (await read(reader))[0] == "HTTP/1.1 200 OK"


@pytest.mark.parametrize("place", [10, 40, -1], ids=["line", "fields", "end"])
async def test_an_exchange_that_comes_in_pieces_is_answered_as_well(port, database, place):
    key = f"Authorization: Bearer {(await make_key(database)).key.text}"
    request = write("POST /v1/token", key)
    async with connected(port) as (reader, writer):
        for piece in (request, request[:place]):
            writer.write(piece)
            await writer.drain()
        assert (await read(reader))[0] == "HTTP/1.1 200 OK"
        writer.write(request[place:])
        assert (await read(reader))[0] == "HTTP/1.1 200 OK"


async def test_who_does_not_wait_for_answers_gets_all_of_them_in_order(port, database):
    key = f"Authorization: Bearer {(await make_key(database)).key.text}"
    ids = [f"request-{number}" for number in range(20)]
    async with connected(port) as (reader, writer):
        for request_id in ids:
            writer.write(write("POST /v1/token", key, f"X-Request-Id: {request_id}"))
            await asyncio.sleep(0)
        assert [(await read(reader))[1]["X-Request-Id"] for _ in ids] == ids


async def test_a_client_that_has_gone_disturbs_nobody(port, database):
    key = f"Authorization: Bearer {(await make_key(database)).key.text}"
    for _ in range(3):
        async with connected(port) as (_, writer):
            writer.write(write("POST /v1/token", key))
            await writer.drain()
    assert (await send(port, "POST /v1/token", key))[0] == "HTTP/1.1 200 OK"


async def test_t40_a_client_that_resets_with_bytes_to_spare_leaves_no_fault(
    port, database, connection
):
    key = await make_key(database)
    faults: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, fault: faults.append(fault))
    async with database.connection() as other, connection.transaction():
        await connection.execute(
            "select from api_key_window where key_id = $1 for no key update", key.listed.record.id
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        del reader
        writer.write(write("POST /v1/token", f"Authorization: Bearer {key.key.text}"))
        await until(lambda: other.fetchval(IS_WAITING))
        writer.write(b"junk")
        await writer.drain()
        await asyncio.sleep(0.05)  # the service reads it, and nothing tells when
        no_goodbye = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_goodbye)
        writer.transport.abort()
    await asyncio.sleep(0.3)  # the answer is written, and the connection is found to be gone
    gc.collect()
    assert faults == []
    loop.set_exception_handler(None)


async def test_a_process_that_leaves_ends_the_connection_with_the_answer_that_is_under_way(
    runner, port, database, connection
):
    key = await make_key(database)
    async with connected(port) as (reader, writer), database.connection() as other:
        async with connection.transaction():
            await connection.execute(
                "select from api_key_window where key_id = $1 for no key update",
                key.listed.record.id,
            )
            writer.write(write("POST /v1/token", f"Authorization: Bearer {key.key.text}"))
            await until(lambda: other.fetchval(IS_WAITING))
            runner.service_app[IN_FLIGHT].is_draining = True
        assert (await read(reader))[1]["Connection"] == "close"
        assert await asyncio.wait_for(reader.read(), PATIENCE) == b""


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
