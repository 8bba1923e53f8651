"""A link to Postgres that takes time, as if it stood in another region."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path


class SlowLink:
    """Forwards connections of a loopback port to a Unix socket.

    What a client sends arrives `delay` seconds later, and what comes back is not delayed. So
    `delay` is added to each round trip, and what is sent together is delayed together.
    """

    def __init__(self, socket: Path, *, delay: float = 0.0) -> None:
        self.delay = delay
        self.port = 0
        self._socket = socket
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Take connections."""
        self._server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Cut all connections."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        far_reader, far_writer = await asyncio.open_unix_connection(str(self._socket))
        try:
            await asyncio.gather(self._delay(reader, far_writer), _forward(far_reader, writer))
        except asyncio.CancelledError:
            pass  # the link is closed, and the server of the streams would call this a fault
        finally:
            writer.close()
            far_writer.close()

    async def _delay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand on each part when its time has come; more may be on its way meanwhile."""
        loop = asyncio.get_running_loop()
        on_its_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            while True:
                arrives_on, data = await on_its_way.get()
                await asyncio.sleep(max(0.0, arrives_on - loop.time()))
                writer.write(data)
                if not data:
                    writer.close()
                    return

        delivery = asyncio.create_task(deliver())
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                on_its_way.put_nowait((loop.time() + self.delay, data))
        on_its_way.put_nowait((loop.time() + self.delay, b""))
        await delivery


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
