"""The page of the metrics: built off the event loop, and once for all who ask."""

from __future__ import annotations

import asyncio
import threading

import pytest
from tests.factories import Clock

from tokensvc.web.metrics_page import MetricsPage, accepts_openmetrics


class Builder:
    """Builds pages that are numbers, while `gate` is open."""

    def __init__(self):
        self.built = 0
        self.threads = set()
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self):
        assert self.gate.wait(10)
        self.built += 1
        self.threads.add(threading.current_thread())
        return str(self.built).encode()


@pytest.fixture
def clock():
    return Clock(100.0)


@pytest.fixture
def build():
    return Builder()


async def test_t40_all_who_ask_within_a_second_share_one_page(build, clock):
    page = MetricsPage(build, clock=clock)
    assert await asyncio.gather(*(page.read() for _ in range(50))) == [b"1"] * 50
    clock.now += 0.99
    assert await page.read() == b"1"
    clock.now += 0.01
    assert await asyncio.gather(*(page.read() for _ in range(50))) == [b"2"] * 50
    assert threading.main_thread() not in build.threads


async def test_t40_who_leaves_does_not_take_the_page_from_the_others(build, clock):
    page = MetricsPage(build, clock=clock)
    build.gate.clear()
    leaver, stayer = asyncio.create_task(page.read()), asyncio.create_task(page.read())
    await asyncio.sleep(0)
    leaver.cancel()
    await asyncio.wait([leaver])
    build.gate.set()
    assert await stayer == b"1"


async def test_a_page_that_could_not_be_built_is_tried_again(clock):
    tries = []

    def build():
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError("broken")
        return b"good"

    page = MetricsPage(build, clock=clock)
    with pytest.raises(RuntimeError):
        await page.read()
    assert await page.read() == b"good"


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain;version=0.0.4", False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", True),
        ("application/openmetrics-text;version=0.0.1,text/plain;version=0.0.4;q=0.5", False),
        (
            "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.4",
            True,
        ),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=0.0, */*", False),
    ],
)
def test_openmetrics_is_for_those_who_accept_it(accepted, expected):
    assert accepts_openmetrics(accepted) is expected
