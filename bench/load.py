"""A load generator that keeps its own time: so many requests a second, however slow the answers.

    python -m bench.load HOST PORT REQUESTS --rate 3000 --seconds 8 --connections 64

REQUESTS is a file of whole HTTP requests, separated by a NUL character, sent in turn. The latency
of a request counts from the moment at which it was due, so one slow answer is not hidden by the
requests that were not sent meanwhile. `--rate 0` sends as fast as answers come. With `--poisson`
the moments are random, as of clients that know nothing of each other. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import random
import ssl
import time
from collections import Counter, deque
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvloop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

_TICK: Final = 0.001
_PATIENCE: Final = 10.0
_CONNECTED_AT_ONCE: Final = 200


class Load:
    """Requests that are due, connections that are free, and what came of it."""

    def __init__(self, requests: list[bytes]) -> None:
        self.reconnect: Callable[[], object] | None = None
        self.requests: Iterator[bytes] = itertools.cycle(random.sample(requests, len(requests)))
        self.due: deque[float] = deque()
        self.free: deque[Connection] = deque()
        self.latencies: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.endless = False
        self.used = 0.0  # seconds of processor time

    def send(self) -> None:
        """Give what is due to connections that are free."""
        while self.due and self.free:
            connection = self.free.popleft()
            if connection.is_open:
                connection.request(self.due.popleft(), next(self.requests))

    def answered(self, connection: Connection, status: int, due: float) -> None:
        """Note an answer; the connection is free again."""
        now = time.perf_counter()
        self.latencies.append(now - due)
        self.statuses[status] += 1
        if self.endless:
            connection.request(now, next(self.requests))
            return
        self.free.append(connection)
        self.send()


class Connection(asyncio.Protocol):
    """One connection that is kept alive: one request at a time."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._received = b""
        self._due = 0.0
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take part."""
        self._transport = transport  # type: ignore[assignment]
        self._load.free.append(self)

    @property
    def is_open(self) -> bool:
        """Whether a request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def request(self, due: float, request: bytes) -> None:
        """Send a request that was due at `due`."""
        self._due = due
        if self._transport is not None:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Read until the answer is whole."""
        self._received += data
        head = self._received.find(b"\r\n\r\n")
        if head < 0:
            return
        length = self._received.lower().find(b"content-length:", 0, head)
        end = (
            head
            + 4
            + (
                int(self._received[length + 15 : self._received.index(b"\r", length)])
                if length >= 0
                else 0
            )
        )
        if len(self._received) >= end:
            status, self._received = int(self._received[9:12]), self._received[end:]
            self._load.answered(self, status, self._due)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it as an answer of its own kind if one was due, and connect again."""
        del exc
        self._transport = None
        if self in self._load.free:
            self._load.free.remove(self)
        else:
            self._load.statuses[0] += 1
        if self._load.reconnect is not None:
            self._load.reconnect()


async def run(
    host: str,
    port: int,
    requests: list[bytes],
    *,
    rate: float,
    seconds: float,
    connections: int,
    poisson: bool = False,
    tls: bool = False,
    begin: Callable[[], object] = lambda: None,
) -> Load:
    """Send for so many seconds; return what came of it. `begin` is called before the first."""
    loop, load = asyncio.get_running_loop(), Load(requests)
    context = _trust_anybody() if tls else None

    def connect() -> Coroutine[object, object, object]:
        return loop.create_connection(lambda: Connection(load), host, port, ssl=context)

    for start in range(0, connections, _CONNECTED_AT_ONCE):
        number = min(_CONNECTED_AT_ONCE, connections - start)
        await asyncio.gather(*(connect() for _ in range(number)))
    again: set[asyncio.Task[object]] = set()

    def reconnect() -> None:
        task = loop.create_task(connect())
        again.add(task)
        task.add_done_callback(again.discard)

    load.reconnect = reconnect
    begin()
    used = time.process_time()
    if rate == 0:
        load.endless = True
        load.due.extend([time.perf_counter()] * connections)
        load.send()
        await asyncio.sleep(seconds)
    else:
        await _send_at_rate(load, rate, seconds, poisson=poisson)
    load.used = time.process_time() - used
    return load


async def _send_at_rate(load: Load, rate: float, seconds: float, *, poisson: bool) -> None:
    """Send what is due at each moment, and wait for the last answers."""
    started = next_due = time.perf_counter()
    sent = 0
    while (now := time.perf_counter()) - started < seconds:
        while next_due <= now:
            load.due.append(next_due)
            sent += 1
            next_due += random.expovariate(rate) if poisson else 1 / rate
        load.send()
        await asyncio.sleep(_TICK)
    deadline = time.perf_counter() + _PATIENCE
    while len(load.latencies) < sent and time.perf_counter() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(_TICK)


def _trust_anybody() -> ssl.SSLContext:
    """Return a context for a server of our own, whose certificate proves nothing."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def summarise(load: Load, seconds: float) -> dict[str, object]:
    """Return the figures: requests a second, latencies in milliseconds, answers by status.

    `cores`: how many this process has used.
    """
    times = sorted(load.latencies)

    def at(share: float) -> float:
        return (
            round(1000 * times[min(len(times) - 1, int(share * len(times)))], 2) if times else 0.0
        )

    return {
        "per_second": len(times) / seconds,
        "p50": at(0.5),
        "p95": at(0.95),
        "p99": at(0.99),
        "max": at(1.0),
        "statuses": dict(load.statuses),
        "cores": round(load.used / seconds, 3),
    }


def main() -> None:
    """Run, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.load")
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("requests", type=Path)
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--poisson", action="store_true")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--announce", action="store_true", help="print a line at the beginning")
    options = parser.parse_args()
    requests = options.requests.read_bytes().split(b"\0")
    # To look for garbage among thousands of connections takes 100 ms, and what is due then would be
    # sent at once afterwards, as no crowd of clients does.
    gc.disable()
    load = uvloop.run(
        run(
            options.host,
            options.port,
            requests,
            rate=options.rate,
            seconds=options.seconds,
            connections=options.connections,
            poisson=options.poisson,
            tls=options.tls,
            begin=lambda: print("begins", flush=True) if options.announce else None,
        )
    )
    print(json.dumps(summarise(load, options.seconds)))


if __name__ == "__main__":
    main()
