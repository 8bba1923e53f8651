"""Leaving, by each signal, with one process and with several."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time

import aiohttp
import pytest
from testbed.waiting import wait_until

from tests.e2e.draining import SLOWLY, check_draining, check_hail

ONE, TWO = (), ("--workers", "2")


SIGNALS = {"SIGTERM": signal.SIGTERM, "Ctrl-C": signal.SIGINT, "hang-up": signal.SIGHUP}


@pytest.mark.parametrize("how", SIGNALS)
@pytest.mark.parametrize("arguments", [ONE, TWO])
async def test_f29_requests_under_way_are_answered(new_process, arguments, how):
    process = await asyncio.to_thread(new_process, *arguments, **SLOWLY)
    workers = 2 if arguments else 0
    send = process.send if how == "SIGTERM" else process.send_group
    await check_draining(process, lambda: send(SIGNALS[how]), workers=workers)


@pytest.mark.parametrize("arguments", [ONE, TWO])
def test_f46_sigusr1_and_sigusr2_change_nothing(new_process, database_url, arguments):
    process = new_process(*arguments, TOKENSVC_DATABASE_URL=database_url)
    process.wait_until_ready()
    before = process.workers
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        process.send_group(number)
        time.sleep(1.5)
    wait_until(process.is_ready)
    assert process.workers == before


@pytest.mark.parametrize("lead", [0.05, 0.2])
@pytest.mark.parametrize("arguments", [ONE, TWO])
async def test_f46_no_request_on_a_new_connection_is_cut_on_a_busy_machine(
    new_process, database_url, arguments, lead
):
    process = await asyncio.to_thread(new_process, *arguments, TOKENSVC_DATABASE_URL=database_url)
    await asyncio.to_thread(process.wait_until_ready)
    busy = [subprocess.Popen(["yes"], stdout=subprocess.DEVNULL) for _ in range(8)]
    try:
        url = f"{process.url}/.well-known/jwks.json"
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:

            async def ask():
                async with client.get(url) as answer:
                    await answer.read()
                    return answer.status

            asked = [asyncio.create_task(ask()) for _ in range(100)]
            await asyncio.sleep(lead)
            process.send(signal.SIGTERM)
            assert set(await asyncio.gather(*asked)) == {200}
        assert await asyncio.to_thread(process.wait) == 0
    finally:
        for one in busy:
            one.kill()
            one.wait()


@pytest.mark.parametrize("arguments", [ONE, TWO] * 3)
def test_exchanges_that_hail_down_are_answered_or_refused_whole(
    new_process, database_url, arguments
):
    process = new_process(*arguments, TOKENSVC_DATABASE_URL=database_url)
    process.wait_until_ready()
    check_hail(process)


@pytest.mark.parametrize("arguments", [ONE, TWO])
def test_sigterm_before_the_service_is_ready_ends_it(new_process, arguments):
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    process = new_process(*arguments, TOKENSVC_DATABASE_URL=nowhere)
    wait_until(lambda: "waiting_for_database" in process.errors)
    process.send(signal.SIGTERM)
    assert process.wait() == 0
    assert "Traceback" not in process.errors
