"""A load that lasts: after it has warmed up, a process needs no more than before."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.calls import new_keys
from tokensvc.settings import load_settings

CLIENTS = 8
PAUSE = 0.02  # half of what the machine could do
WARM_UP_SECONDS = 60
SECONDS = 120
BYTES_A_REVOCATION = 1000  # must be remembered until its token has expired; 730 were measured
PAGE = os.sysconf("SC_PAGE_SIZE")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may look into a service")


def measure(process_id):
    """Return (resident bytes, open descriptors)."""
    resident = int(Path(f"/proc/{process_id}/statm").read_text().split()[1]) * PAGE
    return resident, len(list(Path(f"/proc/{process_id}/fd").iterdir()))


async def test_f40_memory_and_descriptors_stay_flat_under_a_lasting_load(new_process, database_url):
    process = await asyncio.to_thread(
        new_process, TOKENSVC_DATABASE_URL=database_url, TOKENSVC_LOG_LEVEL="warning"
    )
    await asyncio.to_thread(process.wait_until_ready)
    keys = await asyncio.to_thread(new_keys, process, CLIENTS)
    ends_on = time.monotonic() + WARM_UP_SECONDS + SECONDS
    statuses, revoked = set(), []

    async def use(client, key):
        while time.monotonic() < ends_on:
            headers = {"Authorization": f"Bearer {key.text}"}
            async with client.post("/v1/token", headers=headers) as answer:
                statuses.add(answer.status)
                token = (await answer.json())["access_token"]
            if hash(token) % 20 == 0:
                async with client.post("/v1/revoke", data={"token": token}) as answer:
                    statuses.add(answer.status)
                revoked.append(token)
            await asyncio.sleep(PAUSE)

    async with aiohttp.ClientSession(process.url) as client:
        using = [asyncio.create_task(use(client, key)) for key in keys]
        await asyncio.sleep(WARM_UP_SECONDS)
        resident, descriptors = measure(process.pid)
        before = len(revoked)
        await asyncio.gather(*using)
        resident_then, descriptors_then = measure(process.pid)
    assert statuses == {200}
    remembered = BYTES_A_REVOCATION * (len(revoked) - before)
    assert resident_then - resident < 1_000_000 * SECONDS / 60 + remembered
    # The pool may open what it has not needed before.
    assert descriptors_then < descriptors + load_settings({}).pool_size
