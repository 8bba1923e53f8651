"""A flood of guesses after a restart, when the service knows no key yet."""

from __future__ import annotations

import asyncio
import contextlib

from testbed.waiting import until

from tests.e2e.calls import new_key, try_exchange
from tokensvc.core.api_key import new_api_key

GUESSERS = 400


async def test_t38_after_a_restart_honest_keys_of_a_network_that_guesses_are_served(new_process):
    process = await asyncio.to_thread(new_process)
    await asyncio.to_thread(process.wait_until_ready)
    keys = [await asyncio.to_thread(new_key, process) for _ in range(8)]
    await asyncio.to_thread(process.stop)
    await asyncio.to_thread(process.start)
    await asyncio.to_thread(process.wait_until_ready)

    statuses: list[int] = []
    guessers = [asyncio.create_task(guess(process.port, statuses)) for _ in range(GUESSERS)]
    try:
        await until(lambda: len(statuses) > 2 * GUESSERS)
        answers = await asyncio.gather(
            *(asyncio.to_thread(try_exchange, process.url, key.text) for key in keys)
        )
    finally:
        for guesser in guessers:
            guesser.cancel()
        await asyncio.gather(*guessers, return_exceptions=True)
    assert [answer.status for answer in answers] == [200] * len(keys)
    assert set(statuses) == {401}
    await until(lambda: "network_suspected" in process.errors)


async def guess(port, statuses):
    """Show one key after the other that never existed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.closing(writer):
        while True:
            lines = [
                "POST /v1/token HTTP/1.1",
                "Host: localhost",
                f"Authorization: Bearer {new_api_key().text}",
                "Content-Length: 0",
            ]
            writer.write("\r\n".join([*lines, "", ""]).encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            await reader.readexactly(int(head.partition("content-length: ")[2].split()[0]))
            statuses.append(int(head.split()[1]))
