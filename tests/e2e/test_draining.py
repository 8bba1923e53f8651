"""Leaving: SIGTERM and Ctrl-C. With every number of workers: tests/soak/test_draining.py."""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path

from testbed.waiting import wait_until

from tests.e2e.draining import SLOWLY, check_draining, check_hail


async def test_f29_sigterm_drains(new_process, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    before = set(Path.home().glob(".*"))
    process = await asyncio.to_thread(new_process, HOME=str(home), **SLOWLY)
    await check_draining(process, lambda: process.send(signal.SIGTERM))
    assert list(home.rglob("*")) == []
    assert set(Path.home().glob(".*")) == before


async def test_ctrl_c_in_a_terminal_drains_all_workers(new_process):
    process = await asyncio.to_thread(new_process, "--workers", "2", **SLOWLY)
    await check_draining(process, lambda: process.send_group(signal.SIGINT), workers=2)


async def test_f46_a_terminal_that_is_closed_drains_and_other_signals_are_ignored(new_process):
    process = await asyncio.to_thread(new_process, **SLOWLY)
    await asyncio.to_thread(process.wait_until_ready)
    process.send_group(signal.SIGUSR1)
    process.send_group(signal.SIGUSR2)
    await check_draining(process, lambda: process.send_group(signal.SIGHUP))


def test_t25_a_crash_leaves_no_core(new_process, database_url):
    process = new_process(TOKENSVC_DATABASE_URL=database_url)
    process.wait_until_ready()
    limits = Path(f"/proc/{process.pid}/limits").read_text()
    assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)
    process.send(signal.SIGABRT)
    assert process.wait() == -signal.SIGABRT
    assert list(process.folder.glob("core*")) == []


def test_exchanges_that_hail_down_at_sigterm_are_answered_or_refused_whole(
    new_process, database_url
):
    process = new_process(TOKENSVC_DATABASE_URL=database_url)
    process.wait_until_ready()
    check_hail(process)


def test_sigterm_before_the_service_is_ready_ends_it(new_process):
    process = new_process(TOKENSVC_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    wait_until(lambda: "waiting_for_database" in process.errors)
    process.send(signal.SIGTERM)
    assert process.wait() == 0
    assert "Traceback" not in process.errors
