"""Leaving, by each signal, with one process and with several."""

from __future__ import annotations

import asyncio
import signal

import pytest
from testbed.waiting import wait_until

from tests.e2e.draining import SLOWLY, check_draining, check_hail

ONE, TWO = (), ("--workers", "2")


@pytest.mark.parametrize("how", ["SIGTERM", "Ctrl-C"])
@pytest.mark.parametrize("arguments", [ONE, TWO])
async def test_requests_under_way_are_answered(new_process, arguments, how):
    process = await asyncio.to_thread(new_process, *arguments, **SLOWLY)
    workers = 2 if arguments else 0
    if how == "SIGTERM":
        await check_draining(process, lambda: process.send(signal.SIGTERM), workers=workers)
    else:
        await check_draining(process, lambda: process.send_group(signal.SIGINT), workers=workers)


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
