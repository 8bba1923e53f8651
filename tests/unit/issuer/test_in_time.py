"""A client gets its answer in time, and what was begun goes on."""

from __future__ import annotations

import asyncio

import pytest

from tokensvc.core.errors import InvalidRequestError, UnavailableError
from tokensvc.issuer.in_time import in_time

LATE = UnavailableError("too late")


async def test_what_ends_in_time_is_returned_or_raised():
    async def fail():
        raise InvalidRequestError("no")

    assert await in_time(asyncio.sleep(0, "done"), LATE) == "done"
    with pytest.raises(InvalidRequestError):
        await in_time(fail(), LATE)


async def test_f9_what_does_not_end_in_time_is_answered_and_goes_on():
    free, ended = asyncio.Event(), asyncio.Event()

    async def hang():
        await free.wait()
        ended.set()
        raise OSError("seen by nobody")

    with pytest.raises(UnavailableError, match="too late"):
        await in_time(hang(), LATE, seconds=0.01)
    free.set()
    await ended.wait()
