"""A denylist of up to a million entries (F33): the start of a service, a newcomer, 50 newcomers.

    python -m bench.long_denylist [ENTRIES ...]

The newcomer is our `Verifier` in a process of its own. The 50 newcomers read all pages without
parsing them, each at 2 MB a second at most, while exchanges go on at 100 a second. A watch in the
service tells for how long its event loop was held.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zlib
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import uvloop
from testbed.keys import add_keys
from testbed.processes import ROOT

from bench.installation import database_of, memory_bytes, running_service
from bench.sender import at_rate, write_requests
from bench.watched import FILE, read_held
from tokensvc.core.denylist.position import new_tag
from tokensvc.core.identifier import new_jti, new_key_id
from tokensvc.store.primary import connect
from tokensvc.verify import Verifier

if TYPE_CHECKING:
    from testbed.processes import ServiceProcess

_SIZES: Final = (100_000, 400_000, 1_000_000)
_NEWCOMERS: Final = 50
_BYTES_PER_SECOND: Final = 2_000_000
_RATE: Final = 100  # exchanges a second
_SECONDS: Final = 15
_LEAD_SECONDS: Final = 2  # so long before the exchanges the newcomers begin
_PATIENCE: Final = 120.0
_WATCHED: Final = (sys.executable, "-m", "bench.watched")

_MOST_START: Final = 10.0  # seconds
_MOST_READY: Final = 20.0  # seconds
_MOST_MEMORY: Final = 400e6  # bytes
_MOST_WIRE: Final = 30e6  # bytes


# --- a table full of entries ---------------------------------------------------------------------


async def fill(url: str, count: int) -> None:
    """Bring the denylist to `count` entries, half of tokens and half of keys, in force."""
    connection = await connect(url)
    await connection.execute("set statement_timeout = 0; set lock_timeout = 0")
    held = await connection.fetchval("select seq from feed_head where topic = 'denylist'")
    now = await connection.fetchval("select clock_timestamp()")
    rows = [_row(seq, now) for seq in range(held + 1, count + 1)]
    await connection.copy_records_to_table(
        "denylist",
        columns=(
            *("seq", "tag", "kind", "value", "watermark"),
            *("created_at", "expires_at", "ending", "healed"),
        ),
        records=rows,
        timeout=600,
    )
    await connection.execute(
        "update feed_head set seq = $1, tag = $2 where topic = 'denylist'", count, rows[-1][1]
    )
    await connection.execute("vacuum analyze denylist", timeout=600)
    await connection.close()


def _row(seq: int, now: Any) -> tuple[Any, ...]:  # noqa: ANN401 - a moment of asyncpg's
    ends_at = now + timedelta(hours=2, milliseconds=seq % 700_000)
    if seq % 2:
        return seq, new_tag(), "jti", new_jti(), None, now, ends_at, "token_revoked", False
    return seq, new_tag(), "key", new_key_id(), now, now, ends_at, "key_revoked", False


# --- a newcomer ----------------------------------------------------------------------------------


async def newcomer(url: str) -> dict[str, float]:
    """Start a verifier; return the figures when it is ready."""
    stall = 0.0

    async def beat() -> None:
        nonlocal stall
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            stall = max(stall, time.perf_counter() - before - 0.001)

    beating = asyncio.create_task(beat())
    began = time.perf_counter()
    async with Verifier(issuer=url, audience="api", follower="") as verifier:
        async with asyncio.timeout(_PATIENCE):
            while not verifier.status().ready:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.01)
        seconds = time.perf_counter() - began
        entries = verifier.status().denylist_entries
    beating.cancel()
    return {"seconds": seconds, "entries": entries, "memory": _read_peak(), "stall": stall}


def _read_peak() -> int:
    """Return the greatest resident memory of this process in bytes, not that of its parent."""
    peak = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return 1024 * int(peak[1]) if peak else 0


async def crowd(url: str) -> dict[str, float]:
    """Read all pages 50 times at once, again and again until the exchanges are through.

    Returns the bytes of one reading, the longest and the number of readings.
    """
    connector = aiohttp.TCPConnector(limit=0)
    readings: list[tuple[int, float]] = []
    began = time.perf_counter()

    async def read(session: aiohttp.ClientSession) -> None:
        while time.perf_counter() - began < _LEAD_SECONDS + _SECONDS:
            readings.append(await _read_all(session, url))

    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        await asyncio.gather(*(read(session) for _ in range(_NEWCOMERS)))
    sizes, seconds = zip(*readings, strict=True)
    return {"bytes": max(sizes), "seconds": max(seconds), "readings": len(readings)}


async def _read_all(session: aiohttp.ClientSession, url: str) -> tuple[int, float]:
    began, total, query = time.perf_counter(), 0, ""
    while True:
        async with session.get(f"{url}/v1/denylist{query}") as answer:
            body = await answer.read()
        total += len(body)
        cursor, head = read_place(zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(body, 2000))
        if cursor == head:
            return total, time.perf_counter() - began
        query = f"?after={cursor}"
        pause = began + total / _BYTES_PER_SECOND - time.perf_counter()
        await asyncio.sleep(max(0.0, pause))


def read_place(page: bytes) -> tuple[str, str]:
    """Return the cursor and the head that the beginning of a page names."""
    payload = base64.urlsafe_b64decode(page.split(b".")[1][:800] + b"==")
    cursor, head = re.findall(rb'"(?:cursor|head)":"([^"]+)"', payload)
    return cursor.decode(), head.decode()


def _run_apart(what: str, url: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bench.long_denylist", "--child", what, url]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def _read_figures(child: subprocess.Popen[str]) -> dict[str, float]:
    figures: dict[str, float] = json.loads(child.communicate()[0])
    return figures


# --- the measurements ----------------------------------------------------------------------------


def _restart(service: ServiceProcess) -> float:
    """Start a service anew; return the seconds until it is ready."""
    service.kill()
    (service.folder / FILE).unlink()
    began = time.perf_counter()
    service.start()
    while time.perf_counter() - began < _PATIENCE:
        try:
            with urllib.request.urlopen(f"{service.url}/readyz", timeout=2):
                return time.perf_counter() - began
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise RuntimeError(service.errors[-500:])


def _own_cpu_seconds(process_id: int) -> float:
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(service: ServiceProcess, requests: Path, entries: int) -> bool:
    """Measure with so many entries in the table; tell whether all figures are good."""
    start = _restart(service)
    time.sleep(1)  # the watch reports twice a second
    held_at_start, lines = read_held(service.folder)
    at_rate(service.port, requests, rate=_RATE, seconds=3)
    quiet = at_rate(service.port, requests, rate=_RATE, seconds=_SECONDS)
    held_quiet, lines = read_held(service.folder, lines)
    new = _read_figures(_run_apart("newcomer", service.url))
    child = _run_apart("crowd", service.url)
    time.sleep(_LEAD_SECONDS)
    used = _own_cpu_seconds(service.pid)
    busy = at_rate(service.port, requests, rate=_RATE, seconds=_SECONDS)
    used = _own_cpu_seconds(service.pid) - used
    many = _read_figures(child)
    held, _ = read_held(service.folder, lines)
    print(
        f"{entries} entries: start {start:.1f} s, memory {memory_bytes(service.pid) / 1e6:.0f} MB;"
        f" a newcomer is ready after {new['seconds']:.1f} s with {new['entries']:.0f} entries,"
        f" {new['memory'] / 1e6:.0f} MB, longest stall {1e3 * new['stall']:.0f} ms;"
        f" {_NEWCOMERS} newcomers: {many['bytes'] / 1e6:.1f} MB each in {many['seconds']:.1f} s,"
        f" {many['readings']:.0f} readings,"
        f" the service used {used:.1f} s of a processor meanwhile;"
        f" exchange p50 {quiet.p50} -> {busy.p50} ms, p99 {quiet.p99} -> {busy.p99} ms,"
        f" the event loop was held for {held_at_start.busy:.1f} ms at most at the start,"
        f" {held_quiet.busy:.1f} ms without newcomers, {held.busy:.1f} ms with them"
        f" (late: {held_at_start.late:.0f}, {held_quiet.late:.0f}, {held.late:.0f} ms);"
        f" failed {quiet.failed + busy.failed}; load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    return (
        start <= _MOST_START
        and new["seconds"] <= _MOST_READY
        and new["memory"] <= _MOST_MEMORY
        and many["bytes"] <= _MOST_WIRE
        and busy.p99 <= 2 * quiet.p99
        and busy.failed == 0
    )


def main() -> int:
    """Measure all sizes, the smallest first."""
    parser = argparse.ArgumentParser(prog="python -m bench.long_denylist")
    parser.add_argument("sizes", nargs="*", type=int, default=_SIZES)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        what, url = options.child
        # A newcomer runs as applications do. The crowd must leave the processors to the service.
        figures = asyncio.run(newcomer(url)) if what == "newcomer" else uvloop.run(crowd(url))
        print(json.dumps(figures))
        return 0
    good = True
    with (
        running_service(1, {"PYTHONPATH": str(ROOT)}, command=_WATCHED) as service,
        database_of(service) as (url, _),
        tempfile.TemporaryDirectory(prefix="tokensvc-bench-") as name,
    ):
        requests = write_requests(Path(name) / "exchange", "/v1/token", add_keys(url, 1000))
        for size in sorted(options.sizes):
            asyncio.run(fill(url, size))
            good = measure(service, requests, size) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
