"""Garbage is collected at a pace of its own: what is new often, everything when it is needed."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from tokensvc.web.garbage import Collector, measure_memory, paced_collection

MB = 1_000_000


class Circle:
    """Garbage that only a collector frees."""

    def __init__(self):
        self.itself = self


def leave_garbage():
    return weakref.ref(Circle())


@pytest.fixture
def full_collections():
    """The collections of everything, as they come."""
    found = []

    def note(phase, facts):
        if phase == "start" and facts["generation"] == 2:
            found.append(facts)

    gc.disable()
    gc.callbacks.append(note)
    yield found
    gc.callbacks.remove(note)
    gc.unfreeze()
    gc.enable()


def test_each_step_frees_what_is_new(full_collections):
    collector = Collector(0.0)
    left = leave_garbage()
    assert left() is not None
    collector.step(0.02)
    assert left() is None
    assert len(full_collections) == 1  # the one of the start


@pytest.mark.parametrize(
    ("memory", "full"),
    [(100, 0), (263, 0), (265, 1), (500, 1)],
)
def test_everything_is_looked_through_when_the_process_has_grown(full_collections, memory, full):
    used = [100 * MB]
    collector = Collector(0.0, memory=lambda: used[0])
    used[0] = memory * MB
    collector.step(0.5)  # the memory was looked at less than a second ago
    assert len(full_collections) == 1
    collector.step(1.0)
    collector.step(2.0)  # it has not grown further since
    assert len(full_collections) == 1 + full


def test_however_long_a_process_runs_it_never_stops_for_a_look_through_everything(full_collections):
    collector = Collector(0.0, memory=lambda: 100 * MB)
    for hours in range(1, 49):
        collector.step(3600.0 * hours)
    assert len(full_collections) == 1


async def test_pythons_own_collector_rests_meanwhile():
    with paced_collection():
        assert not gc.isenabled()
        left = leave_garbage()
        async with asyncio.timeout(30):
            while left() is not None:
                await asyncio.sleep(0.01)
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_the_memory_is_that_of_this_process():
    before = measure_memory()
    held = bytearray(64 * MB)
    held[::4096] = b"x" * len(held[::4096])
    assert measure_memory() > before + 32 * MB
