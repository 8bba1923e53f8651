"""Serving and leaving: one process and several, SIGTERM and Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.e2e.calls import (
    AUDIENCE,
    call,
    exchange,
    is_ready,
    new_key,
    revoke,
    try_exchange,
    wait_until,
)
from tests.e2e.launched import database_url_of, is_alive, postmaster_of
from tokensvc.core.errors import InvalidTokenError
from tokensvc.store.primary import connect
from tokensvc.verify import Verifier

WORKERS = [(), ("--workers", "2")]


def open_slow_exchange(process, key):
    """Begin an exchange: headers and half of the body are sent. Returns the socket and the other half."""
    body = urlencode(
        {"grant_type": "client_credentials", "client_id": key.id, "client_secret": key.text}
    ).encode()
    connection = socket.create_connection(("127.0.0.1", process.port), timeout=15)
    head = (
        "POST /v1/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    )
    connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:20])
    return connection, body[20:]


def read_all(connection):
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    return received


def check_left_nothing(process, postmaster, workers):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", process.port))
    assert not any(is_alive(number) for number in [postmaster, *workers])
    assert "Traceback" not in process.errors


async def slow_down(process):
    """Make every batch take a second and a half; the ledger waits for two."""
    connection = await connect(database_url_of(process))
    definition = await connection.fetchval(
        "select pg_get_functiondef(oid) from pg_proc where proname = 'judge_exchanges'"
    )
    await connection.execute(
        re.sub(
            r"\nbegin\n",
            "\nbegin perform pg_sleep(1.5);\n",
            definition,
            count=1,
            flags=re.IGNORECASE,
        )
    )
    await connection.close()


def is_leaving(url):
    """Whether /readyz answers 503 or nobody answers."""
    with contextlib.suppress(OSError):
        return call(f"{url}/readyz", seconds=3).status == 503
    return True


@pytest.mark.parametrize("arguments", WORKERS)
async def test_sigterm_drains(launch, tmp_path, arguments):
    home = tmp_path / "home"
    home.mkdir()
    before = set(Path.home().glob(".*"))
    process = launch(*arguments, HOME=str(home))
    process.wait_until_ready()
    key = new_key(process)
    wait_until(lambda: is_ready(process.url))
    postmaster, workers = postmaster_of(process), process.workers
    assert len(workers) == (2 if arguments else 0)
    cursor = decode_cursor(call(f"{process.url}/v1/denylist").body)
    poll = asyncio.create_task(
        asyncio.to_thread(call, f"{process.url}/v1/denylist?after={cursor}&wait=30", seconds=35)
    )
    await asyncio.sleep(0.3)
    await slow_down(process)
    exchanges = [
        asyncio.create_task(asyncio.to_thread(try_exchange, process.url, key.text))
        for _ in range(4)
    ]
    await asyncio.sleep(0.2)
    assert not any(task.done() for task in [poll, *exchanges])
    process.send(signal.SIGTERM)
    sent_on = time.monotonic()
    assert (await poll).status == 200
    assert time.monotonic() - sent_on < 5  # not after the 30 seconds that it would have waited
    wait_until(
        lambda: is_leaving(process.url), 1.5
    )  # gunicorn's workers look once a second whether they shall leave
    assert not any(task.done() for task in exchanges)
    assert [(await task).status for task in exchanges] == [200] * 4
    assert process.wait(20) == 0
    check_left_nothing(process, postmaster, workers)
    assert list(home.rglob("*")) == []
    assert set(Path.home().glob(".*")) == before


@pytest.mark.parametrize("arguments", WORKERS)
async def test_ctrl_c_in_a_terminal_drains(launch, arguments):
    process = launch(*arguments)
    process.wait_until_ready()
    key = new_key(process)
    wait_until(lambda: is_ready(process.url))
    postmaster, workers = postmaster_of(process), process.workers
    await slow_down(process)
    exchange_in_flight = asyncio.create_task(asyncio.to_thread(try_exchange, process.url, key.text))
    await asyncio.sleep(0.2)
    process.send_group(signal.SIGINT)
    wait_until(lambda: is_leaving(process.url), 1.5)
    assert not exchange_in_flight.done()
    assert (await exchange_in_flight).status == 200
    assert process.wait(20) == 0
    check_left_nothing(process, postmaster, workers)


def test_an_exchange_whose_body_is_half_sent_at_sigterm_is_answered(launch, database_url):
    process = launch(TOKENSVC_DATABASE_URL=database_url)
    process.wait_until_ready()
    key = new_key(process)
    wait_until(lambda: is_ready(process.url))
    connection, rest = open_slow_exchange(process, key)
    with connection:
        time.sleep(0.3)
        process.send(signal.SIGTERM)
        time.sleep(0.3)
        connection.sendall(rest)
        assert read_all(connection).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("arguments", WORKERS)
def test_exchanges_that_hail_down_at_sigterm_are_answered_or_refused_whole(
    launch, database_url, arguments
):
    process = launch(*arguments, TOKENSVC_DATABASE_URL=database_url)
    process.wait_until_ready()
    wait_until(lambda: is_ready(process.url))
    key = new_key(process)

    def hail():
        statuses = []
        with contextlib.suppress(OSError):  # refused: the listener is closed
            while True:
                statuses.append(try_exchange(process.url, key.text).status)
        return statuses

    with ThreadPoolExecutor(8) as threads:
        running = [threads.submit(hail) for _ in range(8)]
        time.sleep(0.3)
        process.send(signal.SIGTERM)
        statuses = [status for one in running for status in one.result(20)]
    assert process.wait(20) == 0
    assert set(statuses) <= {200, 429}
    assert "Traceback" not in process.errors


@pytest.mark.parametrize("arguments", WORKERS)
def test_sigterm_before_the_service_is_ready_ends_it(launch, arguments):
    process = launch(*arguments, TOKENSVC_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    wait_until(lambda: "waiting_for_database" in process.errors)
    process.send(signal.SIGTERM)
    assert process.wait(5) == 0
    assert "Traceback" not in process.errors


async def test_a_revocation_at_one_worker_reaches_followers_at_both(launch, database_url):
    process = launch("--workers", "2", TOKENSVC_DATABASE_URL=database_url)
    process.wait_until_ready()
    wait_until(lambda: is_ready(process.url) and len(process.workers) == 2)
    key = new_key(process)
    async with contextlib.AsyncExitStack() as stack:
        verifiers = []
        while not all(count_connections(worker, process.port) for worker in process.workers):
            verifiers.append(Verifier(issuer=process.url, audience=AUDIENCE))
            await stack.enter_async_context(verifiers[-1])
            assert len(verifiers) < 100, "one worker takes no connection"
        for _ in range(5):
            token = await asyncio.to_thread(exchange, process.url, key.text)
            assert {verifier.verify(token).client_id for verifier in verifiers} == {key.id}
            assert await asyncio.to_thread(revoke, process.url, token) == 200
            async with asyncio.timeout(5):
                while not all(refuses(verifier, token) for verifier in verifiers):
                    await asyncio.sleep(0.005)


def test_every_line_of_the_log_is_json(launch, database_url):
    process = launch("--workers", "2", TOKENSVC_DATABASE_URL=database_url)
    process.wait_until_ready()
    exchange(process.url, process.admin_key)
    process.stop()
    assert [line for line in process.errors.splitlines() if not line.startswith("{")] == []


def test_a_killed_worker_is_replaced_and_the_database_stays(launch):
    process = launch("--workers", "2")
    process.wait_until_ready()
    key = new_key(process)
    wait_until(lambda: is_ready(process.url) and len(process.workers) == 2)
    postmaster, (victim, other) = postmaster_of(process), process.workers
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: victim not in process.workers and len(process.workers) == 2)
    assert other in process.workers
    assert exchange(process.url, key.text)
    assert is_alive(postmaster)


def refuses(verifier, token):
    try:
        verifier.verify(token)
    except InvalidTokenError:
        return True
    return False


def decode_cursor(page):
    import jwt  # noqa: PLC0415

    return jwt.decode(page.decode(), options={"verify_signature": False})["cursor"]


def count_connections(worker, port):
    """How many established connections to `port` a process holds."""
    inodes = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1] == f"0100007F:{port:04X}" and fields[3] == "01":
            inodes.add(f"socket:[{fields[9]}]")
    held = 0
    for descriptor in Path(f"/proc/{worker}/fd").iterdir():
        with contextlib.suppress(OSError):
            held += str(descriptor.readlink()) in inodes
    return held


def test_metrics_are_those_of_all_workers_and_survive_one_of_them(launch, database_url):
    process = launch("--workers", "2", TOKENSVC_DATABASE_URL=database_url)
    process.wait_until_ready()
    wait_until(lambda: is_ready(process.url) and len(process.workers) == 2)

    def issued() -> list[str]:
        text = call(f"{process.url}/metrics").body.decode()
        return re.findall(
            r'^tokensvc_exchanges_total\{outcome="issued"\} (\S+)$', text, re.MULTILINE
        )

    for _ in range(20):  # each on a connection of its own: both workers take some
        exchange(process.url, process.admin_key)
    assert issued() == ["20.0"]
    os.kill(process.workers[0], signal.SIGTERM)
    wait_until(lambda: len(process.workers) == 2 and is_ready(process.url), 15)
    exchange(process.url, process.admin_key)
    assert issued() == ["21.0"]
