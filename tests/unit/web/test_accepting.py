"""A crowd of new clients is accepted within a few rounds of the event loop."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from typing import Any

import pytest
from aiohttp import web
from testbed.waiting import until

from tokensvc.web.accepting import Site

LARGE = 400_000  # as a page of the feed


class Counting(web.Server):
    """Counts connections, and answers nothing."""

    accepted = 0

    def connection_made(self, handler, transport):
        self.accepted += 1
        super().connection_made(handler, transport)


class Runner(web.BaseRunner):
    """Runs the server."""

    async def _make_server(self):
        async def answer(request):
            return web.Response(text="heard" if request.path == "/" else "x" * LARGE)

        return Counting(answer)

    async def _cleanup_server(self):
        pass

    async def shutdown(self):
        pass


@pytest.fixture
async def runner():
    runner = Runner()
    await runner.setup()
    yield runner
    await runner.cleanup()


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        yield listener


async def test_t40_a_crowd_is_accepted_in_a_few_rounds(runner, listener):
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(socket.create_connection(listener.getsockname()))
        await Site(runner, listener).start()
        rounds = 0
        while runner.server.accepted < 100:
            await asyncio.sleep(0)
            rounds += 1
        assert rounds < 50


async def test_requests_are_answered_until_it_is_stopped(runner, listener):
    site = Site(runner, listener)
    await site.start()
    host, port = listener.getsockname()
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert await reader.readuntil(b"heard")
    writer.close()
    await site.stop()
    with pytest.raises(OSError, match="Connect"):
        await asyncio.open_connection(host, port)


async def test_t40_an_answer_that_is_not_read_stays_where_it_is_seen(runner, listener):
    await Site(runner, listener).start()
    with socket.create_connection(listener.getsockname()) as silent:
        silent.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(
            lambda: any(
                handler.transport.get_write_buffer_size() for handler in runner.server.connections
            )
        )


@pytest.mark.parametrize("rounds", [0, 1, 2, 3])
async def test_f29_who_is_connected_when_it_is_stopped_is_served(runner, listener, rounds):
    site = Site(runner, listener)
    await site.start()
    with ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(socket.create_connection(listener.getsockname()))
        for _ in range(rounds):
            await asyncio.sleep(0)
        await site.stop()
        assert runner.server.accepted == 40
        assert len(runner.server.connections) == 40


async def test_f37_a_connection_that_cannot_be_accepted_now_is_tried_again(
    runner, listener, logs, monkeypatch
):
    monkeypatch.setattr("tokensvc.web.accepting._PAUSE_SECONDS", 0.01)

    class NoDescriptor:
        """As the listener, but the first connection finds no descriptor."""

        failures = 1

        def __getattr__(self, name):
            return getattr(listener, name)

        def accept(self):
            if self.failures:
                self.failures -= 1
                raise OSError(24, "Too many open files")
            return listener.accept()

    strained: Any = NoDescriptor()
    await Site(runner, strained).start()
    with socket.create_connection(listener.getsockname()):
        await until(lambda: runner.server.accepted)
    (line,) = logs.find("connection_not_accepted")
    assert "Too many open files" in line["error"]
