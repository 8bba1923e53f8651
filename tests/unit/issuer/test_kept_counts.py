"""Counts of many rows are kept for a while, and say when they were made."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from tokensvc.core.errors import UnavailableError
from tokensvc.issuer.kept_counts import Counted, KeptCounts

NAME = ("keys", None)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Counting:
    """Counts 1, 2, 3 ... and takes some seconds of its own clock for it."""

    def __init__(self, *, rows=1000, takes=0.0):
        self.calls = 0
        self.now = 100.0
        self.rows = rows
        self.takes = takes
        self.error = None
        self.kept = KeptCounts(many=1000, clock=lambda: self.now)

    async def count(self):
        self.calls += 1
        self.now += self.takes
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return Counted(self.calls, NOW, self.rows)

    async def find(self, name=NAME):
        found = (await self.kept.find(name, self.count)).value
        for _ in range(3):  # let what runs in the background end
            await asyncio.sleep(0)
        return found


async def test_few_rows_are_counted_each_time():
    counting = Counting(rows=999)
    assert [await counting.find() for _ in range(3)] == [1, 2, 3]


async def test_many_rows_are_counted_again_behind_the_back_of_who_asks():
    counting = Counting()
    assert [await counting.find() for _ in range(2)] == [1, 1]
    counting.now += 9
    assert await counting.find() == 1
    counting.now += 2
    assert [await counting.find() for _ in range(2)] == [1, 2]


async def test_each_name_is_counted_by_itself():
    counting = Counting()
    assert [await counting.find(("keys", account)) for account in ("a", "b", "a")] == [1, 2, 1]


async def test_who_asks_after_a_long_time_waits_for_the_count():
    counting = Counting()
    assert await counting.find() == 1
    counting.now += 601
    assert await counting.find() == 2


async def test_what_takes_long_is_counted_more_seldom():
    counting = Counting(takes=2.0)
    assert await counting.find() == 1
    counting.now += 99
    assert [await counting.find() for _ in range(2)] == [1, 1]
    counting.now += 2
    assert [await counting.find() for _ in range(2)] == [1, 2]


async def test_while_it_is_counted_again_everybody_gets_the_old_number():
    counting = Counting()
    assert await counting.find() == 1
    counting.now += 11
    found = await asyncio.gather(*(counting.find() for _ in range(5)))
    assert (found, counting.calls) == ([1] * 5, 2)


async def test_a_count_that_fails_behind_the_back_is_logged_and_tried_again(logs):
    counting = Counting()
    assert await counting.find() == 1
    counting.now += 11
    counting.error = UnavailableError("away")
    assert await counting.find() == 1
    assert [line["what"] for line in logs.find("count_failed")] == ["keys"]
    counting.error = None
    assert [await counting.find() for _ in range(2)] == [1, 3]


async def test_a_count_that_somebody_waits_for_fails_for_them():
    counting = Counting()
    counting.error = UnavailableError("away")
    with pytest.raises(UnavailableError):
        await counting.find()


async def test_closing_stops_what_runs():
    counting = Counting()
    assert await counting.find() == 1
    counting.now += 11
    await counting.kept.find(NAME, counting.count)
    await counting.kept.close()
    assert await counting.find() == 1
