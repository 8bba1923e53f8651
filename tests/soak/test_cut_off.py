"""Followers that are cut off: each turns to its policy when its time is up, and recovers."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest
from testbed.waiting import until

from tests.e2e.calls import AUDIENCE, exchange, new_key, revoke
from tests.e2e.link import Link
from tokensvc.core.errors import BearerError
from tokensvc.verify import Verifier

STALENESS = 12.0


def state(verifier, token):
    try:
        verifier.verify(token)
    except BearerError as error:
        return error.reason
    return "accepted"


@pytest.mark.parametrize("how", ["listener closed", "packets dropped", "stopped"])
async def test_f20_a_follower_that_is_cut_off_turns_to_its_policy_and_recovers(
    how, new_process, database_url
):
    process = await asyncio.to_thread(new_process, TOKENSVC_DATABASE_URL=database_url)
    await asyncio.to_thread(process.wait_until_ready)
    key = await asyncio.to_thread(new_key, process)
    good, bad = [await asyncio.to_thread(exchange, process.url, key.text) for _ in range(2)]
    async with Link(process.port) as link:
        options: Any = {
            "issuer": process.url,
            "audience": AUDIENCE,
            "denylist_url": f"{link.url}/v1/denylist",
            "max_staleness": STALENESS,
            "feed_wait": 1,
            "leeway": 0.0,
        }
        async with (
            Verifier(**options) as strict,
            Verifier(**options, when_stale="accept") as lenient,
        ):
            for verifier in (strict, lenient):
                await until(lambda verifier=verifier: state(verifier, good) == "accepted")
            if how == "listener closed":
                await asyncio.to_thread(process.kill)
            elif how == "packets dropped":
                link.silent = True
            else:
                os.kill(process.pid, signal.SIGSTOP)
            assert state(strict, good) == "accepted"
            await until(lambda: state(strict, good) == "denylist_stale")
            assert strict.status().denylist_age > STALENESS
            assert state(lenient, good) == "accepted", "by its own choice"
            if how == "listener closed":
                process.start()
            elif how == "packets dropped":
                link.silent = False
            else:
                os.kill(process.pid, signal.SIGCONT)
            await until(lambda: state(strict, good) == "accepted")
            assert await asyncio.to_thread(revoke, process.url, bad) == 200
            for verifier in (strict, lenient):
                await until(lambda verifier=verifier: state(verifier, bad) == "revoked_jti")
