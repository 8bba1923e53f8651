"""What holds the event loop of a busy service, and for how long.

    python -m bench.stalls [--seconds 45] [--rate 1000]

A service with 20,000 active keys and 100,000 entries in the denylist answers exchanges at a fixed
rate, and then as many as 256 connections ask for. Meanwhile 200 followers wait for news, tokens are
revoked, a newcomer reads the whole denylist, /metrics is read once a second, and the signing key is
rotated. No callback may use more than 5 ms of processor time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp
import uvloop
from testbed.keys import add_keys
from testbed.processes import ROOT

from bench.installation import database_of, running_service
from bench.long_denylist import fill, read_place
from bench.sender import at_rate, write_requests
from bench.watched import read_held

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.processes import ServiceProcess

    from bench.callbacks import LongCallback

_KEYS: Final = 20_000
_ENTRIES: Final = 100_000
_FOLLOWERS: Final = 200
_REVOCATIONS: Final = 2.0  # a second
_MOST: Final = 5.0  # milliseconds
_WATCHED: Final = (sys.executable, "-m", "bench.watched")


async def crowd(url: str, key: str) -> None:
    """Follow, revoke and look at the metrics until cancelled."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
        group.create_task(_follow(session, url, "newcomer", ""))
        async with session.get(f"{url}/v1/denylist") as answer:
            _, head = read_place(await answer.read())
        for number in range(_FOLLOWERS):
            group.create_task(_follow(session, url, f"f{number}", head))
        group.create_task(_revoke(session, url, key))
        group.create_task(_look(session, url))


async def _follow(session: aiohttp.ClientSession, url: str, name: str, cursor: str) -> None:
    """Wait for page after page after `cursor`; a newcomer has none."""
    while True:
        query = f"?after={cursor}&wait=30&follower={name}" if cursor else ""
        async with session.get(f"{url}/v1/denylist{query}") as answer:
            page = await answer.read()
        if answer.ok:
            cursor, _ = read_place(page)
        else:  # the service is busy and says so: a follower comes again
            await asyncio.sleep(1)


async def _revoke(session: aiohttp.ClientSession, url: str, key: str) -> None:
    while True:
        await asyncio.sleep(1 / _REVOCATIONS)
        headers = {"Authorization": f"Bearer {key}"}
        async with session.post(f"{url}/v1/token", headers=headers) as answer:
            issued = await answer.json()
        if not answer.ok:
            continue
        token = issued["access_token"]
        async with session.post(f"{url}/v1/revoke", data={"token": token}) as answer:
            await answer.read()


async def _look(session: aiohttp.ClientSession, url: str) -> None:
    while True:
        await asyncio.sleep(1)
        async with session.get(f"{url}/metrics") as answer:
            await answer.read()


def _print(callbacks: Sequence[LongCallback]) -> None:
    """Print what took long, by what it was and where it was seen, the longest first."""
    kinds: dict[str, list[LongCallback]] = defaultdict(list)
    for callback in callbacks:
        kinds[callback.name].append(callback)
    for name, seen in sorted(kinds.items(), key=lambda item: -max(item[1])[0]):
        longest = max(seen)
        middle = statistics.median(callback.milliseconds for callback in seen)
        print(f"{longest.milliseconds:>7.1f} ms, {len(seen):>5} times, median {middle:.1f}: {name}")
        print(f"{'':>10}{longest.stack}")


def measure(service: ServiceProcess, url: str, *, seconds: float, rate: float) -> bool:
    """Measure and print; tell whether no callback took longer than it may."""
    with tempfile.TemporaryDirectory(prefix="tokensvc-bench-") as name:
        keys = add_keys(url, _KEYS)
        asyncio.run(fill(url, _ENTRIES))
        requests = write_requests(Path(name) / "exchange", "/v1/token", keys)
        _, start = read_held(service.folder)
        command = [sys.executable, "-m", "bench.stalls", "--crowd", service.url, keys[0]]
        with subprocess.Popen(command, cwd=ROOT) as child:
            steady = at_rate(service.port, requests, rate=rate, seconds=seconds)
            service.cli("signing-key", "rotate")
            full = at_rate(service.port, requests, rate=0, seconds=seconds / 3, connections=256)
            if child.poll() is not None:
                raise RuntimeError("the crowd ended too early, so nothing was measured")
            child.kill()
    held, _ = read_held(service.folder, start)
    print(f"at {rate:.0f}/s: {steady}\nat 256 connections: {full}")
    print(f"between two beats {held.busy:.1f} ms at most; load {os.getloadavg()[0]:.1f}")
    _print(held.callbacks)
    return all(callback.milliseconds <= _MOST for callback in held.callbacks)


def main() -> int:
    """Measure, or be the crowd that is measured beside."""
    parser = argparse.ArgumentParser(prog="python -m bench.stalls")
    parser.add_argument("--seconds", type=float, default=45)
    parser.add_argument("--rate", type=float, default=1000)
    parser.add_argument("--crowd", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.crowd is not None:
        uvloop.run(crowd(*options.crowd))
    with (
        running_service(1, {"PYTHONPATH": str(ROOT)}, command=_WATCHED) as service,
        database_of(service) as (url, _),
    ):
        kept = measure(service, url, seconds=options.seconds, rate=options.rate)
    print("kept" if kept else f"NOT KEPT: a callback took longer than {_MOST:.0f} ms")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
