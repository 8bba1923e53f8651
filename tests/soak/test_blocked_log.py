"""Nobody reads the log any more, and the service goes on."""

from __future__ import annotations

import asyncio
import os

import aiohttp
from testbed.processes import EXECUTABLE
from testbed.waiting import until

from tests.e2e.calls import new_key, revoke

EXCHANGES = 5000
TO_THE_PIPE = 'pipe=$1; shift; exec "$@" 2> "$pipe"'


async def test_f38_nobody_waits_for_a_log_that_nobody_reads(new_process, database_url, tmp_path):
    pipe = tmp_path / "log"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    command = ("sh", "-c", TO_THE_PIPE, "sh", str(pipe), str(EXECUTABLE))
    process = await asyncio.to_thread(
        new_process, command=command, TOKENSVC_DATABASE_URL=database_url
    )
    await asyncio.to_thread(process.wait_until_ready)
    key = await asyncio.to_thread(new_key, process)
    headers = {"Authorization": f"Bearer {key.text}"}
    async with aiohttp.ClientSession(process.url) as client:

        async def exchange():
            async with client.post("/v1/token", headers=headers) as answer:
                return answer.status

        for _ in range(0, EXCHANGES, 50):
            assert set(await asyncio.gather(*(exchange() for _ in range(50)))) == {200}
    assert await asyncio.to_thread(revoke, process.url, key.text) == 200, "acts go on as well"

    written = b""

    def reads_on():
        nonlocal written
        try:
            written += os.read(reader, 1_000_000)
        except BlockingIOError:
            return False
        return b"revoke" in written or b"log_lines_dropped" in written

    await until(reads_on)
    await asyncio.to_thread(process.stop)
    os.close(reader)
