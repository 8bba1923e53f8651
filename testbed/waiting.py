"""Waiting for what somebody else does: look again and again, and give up late.

The limits are far away on purpose. A test that waits for an event passes on a busy machine too,
and only a test that fails has to wait for the whole time.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE: Final = 60.0
_POLL: Final = 0.01


async def until(condition: Callable[..., object], seconds: float = PATIENCE) -> None:
    """Return as soon as `condition`, which may be asynchronous, gives something true.

    Raises TimeoutError after so many seconds.
    """
    async with asyncio.timeout(seconds):
        while True:
            holds = condition()
            if inspect.isawaitable(holds):
                holds = await holds
            if holds:
                return
            await asyncio.sleep(_POLL)


def wait_until(condition: Callable[..., object], seconds: float = PATIENCE) -> None:
    """Wait as `until` does, and block meanwhile."""
    give_up_on = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up_on:
            raise TimeoutError
        time.sleep(_POLL)
