"""Leaving a service while requests are under way."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from testbed.processes import count_connections, is_alive, may_count_connections
from testbed.waiting import PATIENCE, until, wait_until

from tests.e2e.calls import Key, call, new_key, try_exchange
from tests.integration.things import read_payload

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.processes import ServiceProcess

SLOWLY = {"TOKENSVC_DRAIN_SECONDS": "60"}


class OpenRequest:
    """A request on a connection of its own. `rest`: the part of the body that comes last."""

    def __init__(self, port: int, head: str, body: bytes = b"", rest: bytes = b"") -> None:
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._body, self._rest = body, rest
        self._lines = [head, "Host: x", "Expect: 100-continue", "Connection: close"]
        if body or rest:
            self._lines += ["Content-Type: application/x-www-form-urlencoded"]
            self._lines += [f"Content-Length: {len(body + rest)}"]

    def begin(self) -> None:
        """Send all but the rest. Then its handler runs: the service has said "continue"."""
        self._connection.sendall("\r\n".join([*self._lines, "", ""]).encode())
        assert self._connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        self._connection.sendall(self._body)

    def finish(self) -> int:
        """Send the rest; return the status of the answer."""
        self._connection.sendall(self._rest)
        with self._connection:
            return int(self._connection.recv(65536).split()[1])


def connect_exchange(process: ServiceProcess, key: Key) -> OpenRequest:
    """Connect for an exchange, whose body comes in two parts."""
    body = urlencode(
        {"grant_type": "client_credentials", "client_id": key.id, "client_secret": key.text}
    ).encode()
    return OpenRequest(process.port, "POST /v1/token HTTP/1.1", body[:20], body[20:])


def open_poll(process: ServiceProcess) -> OpenRequest:
    """Ask for news that do not come, for thirty seconds."""
    page = call(f"{process.url}/v1/denylist").body.decode()
    path = f"/v1/denylist?after={read_payload(page)['cursor']}&wait=30"
    poll = OpenRequest(process.port, f"GET {path} HTTP/1.1")
    poll.begin()
    return poll


async def check_draining(
    process: ServiceProcess, leave: Callable[[], None], *, workers: int = 0
) -> None:
    """Let it leave: polls are answered at once, exchanges when they are whole, nothing is left.

    `workers`: how many it has. Each of them has an exchange to finish.
    """
    await asyncio.to_thread(process.wait_until_ready)
    await until(lambda: len(process.workers) == workers)
    postmaster, serving = process.postmaster, process.workers or [process.pid]
    key = await asyncio.to_thread(new_key, process)
    poll = await asyncio.to_thread(open_poll, process)
    exchanges = [await asyncio.to_thread(connect_exchange, process, key)]
    while not have_all_connections(process, serving, len(exchanges)):
        exchanges.append(await asyncio.to_thread(connect_exchange, process, key))
    # Between the two halves of a body lies no more than must: the second may come too late.
    for exchange in exchanges:
        await asyncio.to_thread(exchange.begin)
    leave()
    polled = asyncio.create_task(asyncio.to_thread(poll.finish))
    await until(lambda: is_leaving(process.url))
    assert {await asyncio.to_thread(exchange.finish) for exchange in exchanges} == {200}
    async with asyncio.timeout(25):  # the poll itself would have ended after thirty
        assert await polled == 200
    assert await asyncio.to_thread(process.wait) == 0
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", process.port))
    assert not any(is_alive(number) for number in [postmaster, *serving])
    assert all(json.loads(line) for line in process.errors.splitlines()), "its log is JSON"
    assert "Traceback" not in process.errors


def have_all_connections(process: ServiceProcess, serving: list[int], exchanges: int) -> bool:
    """Tell whether every worker has one for an exchange; who cannot look opens ten of them."""
    if not all(may_count_connections(one) for one in serving):
        return exchanges >= 10 * (len(serving) - 1)
    return all(count_connections(one, process.port) > 1 for one in serving)


def is_leaving(url: str) -> bool:
    """Tell whether /readyz answers 503 or nobody answers."""
    with contextlib.suppress(OSError):
        return call(f"{url}/readyz").status == 503
    return True


def check_hail(process: ServiceProcess) -> None:
    """Send SIGTERM while eight clients exchange all the time: each answer is whole or none."""
    key, statuses = new_key(process), list[int]()

    def hail() -> None:
        with contextlib.suppress(OSError):  # refused: nobody listens any more
            while True:
                statuses.append(try_exchange(process.url, key.text).status)

    with ThreadPoolExecutor(8) as threads:
        hailing = [threads.submit(hail) for _ in range(8)]
        wait_until(lambda: len(statuses) > 20)
        process.send(signal.SIGTERM)
    for ended in hailing:
        ended.result()  # half an answer is no OSError
    assert process.wait() == 0
    assert set(statuses) == {200}
    assert "Traceback" not in process.errors
