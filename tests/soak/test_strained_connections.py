"""Connections that only take room: slow, silent, too many, with too much in them."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
from pathlib import Path

import aiohttp
import pytest
from testbed.processes import EXECUTABLE
from testbed.waiting import PATIENCE, until

from tests.e2e.calls import new_key

MANY = 500
HALF = b"POST /v1/token HTTP/1.1\r\nHost: x\r\nX-Slow: "
BIG = 5_000_000
AT_ONCE = 20
# Strangers are closed after 12.5 s at the earliest. Whoever is served so rarely in that time is
# answered 503 anyway: Postgres has 2.25 s for an exchange.
SERVED = 10
PAGE = os.sysconf("SC_PAGE_SIZE")
# By itself, malloc keeps buffers that are free for those that come: 14 MB at one moment, none at
# the next. Like this, what is resident is in use.
GIVEN_BACK_AT_ONCE = {"MALLOC_MMAP_THRESHOLD_": "32768"}
HELD = {"01", "08"}  # of the states of TCP: established, and closed only by the other side


@pytest.fixture
async def process(new_process, database_url):
    started = await asyncio.to_thread(new_process, TOKENSVC_DATABASE_URL=database_url)
    await asyncio.to_thread(started.wait_until_ready)
    return started


async def open_many(port, count, first=b""):
    """Open connections that send `first` and no more."""
    opened = []
    for _ in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(first)
        opened.append((reader, writer))
    return opened


async def close_all(opened):
    for _, writer in opened:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def exchange_all_the_time(process, statuses):
    """Exchange until this is cancelled, each time on a connection of its own."""
    key = await asyncio.to_thread(new_key, process)
    headers = {"Authorization": f"Bearer {key.text}"}
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as client:
        while True:
            async with client.post(f"{process.url}/v1/token", headers=headers) as answer:
                statuses.append(answer.status)
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("first", [HALF, b""], ids=["half a header", "silence"])
async def test_f11_whoever_sends_no_whole_header_is_closed_and_others_are_served(process, first):
    opened = await open_many(process.port, MANY, first)
    statuses: list[int] = []
    honest = asyncio.create_task(exchange_all_the_time(process, statuses))
    async with asyncio.timeout(PATIENCE):  # the library by itself waits for an hour
        await asyncio.gather(*(reader.read() for reader, _ in opened))
    honest.cancel()
    assert set(statuses) == {200}
    assert len(statuses) > SERVED
    await close_all(opened)


async def test_f13_thousands_of_big_bodies_are_refused_before_they_are_read(
    new_process, database_url
):
    async def send_one(client):
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        with contextlib.suppress(aiohttp.ClientError, OSError):  # it is closed while we send
            async with client.post(
                "/v1/token", data=io.BytesIO(bytes(BIG)), headers=headers
            ) as answer:
                return answer.status
        return 413

    process = await asyncio.to_thread(
        new_process, TOKENSVC_DATABASE_URL=database_url, **GIVEN_BACK_AT_ONCE
    )
    await asyncio.to_thread(process.wait_until_ready)
    sizes = []
    for count in (1000, 3000):  # the first ones are the warm-up
        async with aiohttp.ClientSession(process.url) as client:
            for _ in range(0, count, AT_ONCE):  # each is answered after a second
                answered = await asyncio.gather(*(send_one(client) for _ in range(AT_ONCE)))
                assert set(answered) == {413}
        await until(lambda: not has_connections(process.port))
        sizes.append(resident_bytes(process.pid))
    assert sizes[1] - sizes[0] < 3 * 2_000_000


def has_connections(port):
    """Tell whether the one who listens on a port holds a connection."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[1] == f"0100007F:{port:04X}" and row[3] in HELD for row in rows)


def resident_bytes(process_id):
    return int(Path(f"/proc/{process_id}/statm").read_text().split()[1]) * PAGE


async def test_f37_with_too_few_descriptors_idle_connections_make_room(new_process, database_url):
    command = ("prlimit", "--nofile=256:256", str(EXECUTABLE))
    process = await asyncio.to_thread(
        new_process, command=command, TOKENSVC_DATABASE_URL=database_url
    )
    await asyncio.to_thread(process.wait_until_ready)
    statuses: list[int] = []
    honest = asyncio.create_task(exchange_all_the_time(process, statuses))
    opened = await open_many(process.port, 2000)
    among_them = len(statuses)
    await until(lambda: honest.done() or len(statuses) > among_them + SERVED)
    honest.cancel()
    assert set(statuses) == {200}
    await close_all(opened)
    assert await asyncio.to_thread(process.is_ready)
    assert "Traceback" not in process.errors
