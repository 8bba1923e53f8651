"""Followers that are cut off turn to their policy, and recover by themselves.

With real processes and real time: tests/soak/test_cut_off.py.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
from testbed.waiting import until
from tests.e2e.link import Link
from tests.web.ahead import Ahead
from tests.web.asking import get_token

from tokensvc.core.errors import BearerError
from tokensvc.verify import Verifier
from tokensvc.verify._clock import Clock

AGES = 3600.0


def state(verifier, token):
    try:
        verifier.verify(token)
    except BearerError as error:
        return error.reason
    return "accepted"


async def close(link):
    await link.close()
    return link.open


async def silence(link):
    link.silent = True

    async def speak():
        link.silent = False

    return speak


@pytest.mark.parametrize("cut", [close, silence])
async def test_f20_a_follower_that_is_cut_off_turns_to_its_policy_and_recovers(
    cut, client, key, settings
):
    good, bad = [(await get_token(client, key))["access_token"] for _ in range(2)]
    ahead = Ahead()
    async with Link(settings.port) as link:
        options: Any = {
            "issuer": settings.issuer_url,
            "audience": "api",
            "denylist_url": f"{link.url}/v1/denylist",
            "max_staleness": AGES,
            "jwks_stale_if_error": 10 * AGES,
            "feed_wait": 1,
            "http_timeout": 2.0,
            "clock": Clock(wall=time.time, monotonic=ahead),
        }
        async with (
            Verifier(**options) as strict,
            Verifier(**options, when_stale="accept") as lenient,
        ):
            for verifier in (strict, lenient):
                await until(lambda verifier=verifier: state(verifier, good) == "accepted")
            mend = await cut(link)
            ahead.seconds = AGES - 60
            assert state(strict, good) == "accepted"
            ahead.seconds = AGES + 1
            assert state(strict, good) == "denylist_stale"
            assert state(lenient, good) == "accepted", "by its own choice"
            revoked = await client.post("/v1/revoke", data={"token": bad})
            assert revoked.status == 200
            assert state(lenient, bad) == "accepted", "it cannot hear"
            await mend()
            for verifier in (strict, lenient):
                await until(lambda verifier=verifier: state(verifier, bad) == "revoked_jti")
                assert state(verifier, good) == "accepted"
