"""A link between a follower and a service, to be cut."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self


class Link:
    """A TCP link to a port of loopback that can be closed, or lose packets.

    While it is `silent`, both sides stay connected, and nothing arrives.
    """

    def __init__(self, port: int) -> None:
        self.silent = False
        self._port = port
        self._own_port = 0
        self._streams: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def url(self) -> str:
        """Where to connect to."""
        return f"http://127.0.0.1:{self._own_port}"

    async def open(self) -> None:
        """Take connections, for the first time or again."""
        self._server = await asyncio.start_server(self._join, "127.0.0.1", self._own_port)
        self._own_port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Close every connection, and take no other."""
        self._server.close()
        for writer in self._streams:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        self._streams.clear()
        await self._server.wait_closed()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._streams.append(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            writer.close()
            return
        self._streams.append(far_writer)
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if not self.silent:
                    writer.write(data)
                    await writer.drain()
            writer.close()
