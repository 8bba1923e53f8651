"""What followers that have nothing to hear cost the exchange."""

from __future__ import annotations

import asyncio
import resource
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp
from testbed.keys import add_keys

from bench.installation import database_of, memory_bytes, running_service
from bench.load import Connection, Load
from bench.sender import at_rate, write_requests
from tokensvc.core.token import read_unverified

if TYPE_CHECKING:
    from testbed.processes import ServiceProcess

_RATE: Final = 500.0  # exchanges a second


def idle(polls: int) -> bool:
    """Hold so many polls open; return whether the exchange takes at most twice as long (p99)."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limit[1], 2 * polls + 1000), limit[1]))
    with (
        running_service() as service,
        database_of(service) as (url, _),
        tempfile.TemporaryDirectory(prefix="tokensvc-bench-") as name,
    ):
        requests = write_requests(Path(name) / "exchange", "/v1/token", add_keys(url, 1000))
        at_rate(service.port, requests, rate=_RATE, seconds=3)
        return asyncio.run(_idle(service, requests, polls))


async def _idle(service: ServiceProcess, requests: Path, polls: int) -> bool:
    cursor = await _find_head(service.url)
    before = await asyncio.to_thread(at_rate, service.port, requests, rate=_RATE)
    empty = memory_bytes(service.pid)
    until, ready = asyncio.Event(), asyncio.Event()
    holding = asyncio.create_task(_hold(service.port, polls, cursor, until, ready))
    await ready.wait()
    await asyncio.sleep(3)
    full = memory_bytes(service.pid)
    during = await asyncio.to_thread(at_rate, service.port, requests, rate=_RATE)
    until.set()
    load = await holding
    each = (full - empty) / polls / 1e3
    print(f"{polls} idle long polls: memory {empty / 1e6:.0f} -> {full / 1e6:.0f} MB", end="")
    print(f" ({each:.1f} kB each)")
    print(f"exchange at {_RATE:.0f}/s: p50 {before.p50} -> {during.p50} ms, ", end="")
    print(f"p99 {before.p99} -> {during.p99} ms; failed {during.failed}")
    print(f"answers to polls {dict(load.statuses)}")
    return during.p99 <= 2 * before.p99 and during.failed == 0


async def _find_head(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/v1/denylist") as answer:
        return str(read_unverified(await answer.text())[1]["cursor"])


async def _hold(
    port: int, polls: int, cursor: str, until: asyncio.Event, ready: asyncio.Event
) -> Load:
    """Keep so many long polls open."""
    head = f"GET /v1/denylist?after={cursor}&wait=30 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    load, loop = Load([head]), asyncio.get_running_loop()
    load.endless = True
    for _ in range(polls):
        await loop.create_connection(lambda: Connection(load), "127.0.0.1", port)
    load.due.extend([time.perf_counter()] * polls)
    load.send()
    ready.set()
    await until.wait()
    return load
