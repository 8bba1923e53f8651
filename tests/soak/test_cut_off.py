"""Followers that are cut off: each turns to its policy when its time is up, and recovers by itself when the link is back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time

import pytest

from tests.e2e.calls import AUDIENCE, exchange, new_key, revoke
from tokensvc.core.errors import InvalidTokenError, VerifierUnavailableError
from tokensvc.verify import Verifier

STALENESS = 4.0


class Link:
    """A TCP link to the service that can lose packets: both sides stay connected, and nothing arrives."""

    def __init__(self, port):
        self.port, self.silent = port, False
        self._streams = []

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for writer in self._streams:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        await self._server.wait_closed()

    async def _join(self, reader, writer):
        self._streams.append(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            writer.close()
            return
        self._streams.append(far_writer)
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))

    async def _pump(self, reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if not self.silent:
                    writer.write(data)
                    await writer.drain()
            writer.close()


def state(verifier, token):
    try:
        verifier.verify(token)
    except VerifierUnavailableError as error:
        return error.reason
    except InvalidTokenError as error:
        return error.reason
    return "accepted"


async def seconds_until(verifier, token, wanted, most):
    started = time.monotonic()
    while state(verifier, token) != wanted:
        assert time.monotonic() - started < most, f"still {state(verifier, token)}"
        await asyncio.sleep(0.01)
    return time.monotonic() - started


@pytest.mark.parametrize("how", ["listener closed", "packets dropped", "stopped"])
async def test_a_follower_that_is_cut_off_turns_to_its_policy_and_recovers(
    how, new_process, database_url
):
    process = await asyncio.to_thread(new_process, TOKENSVC_DATABASE_URL=database_url)
    await asyncio.to_thread(process.wait_until_ready)
    key = await asyncio.to_thread(new_key, process)
    good, bad = [await asyncio.to_thread(exchange, process.url, key.text) for _ in range(2)]
    options = {
        "issuer": process.url,
        "audience": AUDIENCE,
        "max_staleness": STALENESS,
        "feed_wait": 1,
        "http_timeout": 1.0,
        "leeway": 0.0,
    }
    async with (
        Link(process.port) as link,
        Verifier(**options, denylist_url=f"{link.url}/v1/denylist") as strict,
        Verifier(**options, denylist_url=f"{link.url}/v1/denylist", when_stale="accept") as lenient,
    ):
        assert [state(verifier, good) for verifier in (strict, lenient)] == ["accepted"] * 2
        age = strict.status().denylist_age
        if how == "listener closed":
            await asyncio.to_thread(process.stop)
        elif how == "packets dropped":
            link.silent = True
        else:
            os.kill(process.pid, signal.SIGSTOP)
        took = await seconds_until(strict, good, "denylist_stale", STALENESS + 2)
        assert STALENESS - 1 <= took + age <= STALENESS + 1, "within a second of max_staleness"
        assert state(lenient, good) == "accepted", "by its own choice"
        if how == "listener closed":
            await asyncio.to_thread(process.start)
            await asyncio.to_thread(process.wait_until_ready)
        elif how == "packets dropped":
            link.silent = False
        else:
            os.kill(process.pid, signal.SIGCONT)
        assert await seconds_until(strict, good, "accepted", 5) < 5
        assert await asyncio.to_thread(revoke, process.url, bad) == 200
        for verifier in (strict, lenient):
            await seconds_until(verifier, bad, "revoked_jti", 5)
