"""Waiting for what other processes do."""

from __future__ import annotations

import asyncio
import time


async def until(condition, seconds=5):
    """Wait until `condition` (sync or async) holds; return how long that took."""
    started = time.monotonic()
    async with asyncio.timeout(seconds):
        while True:
            holds = condition()
            if asyncio.iscoroutine(holds):
                holds = await holds
            if holds:
                return time.monotonic() - started
            await asyncio.sleep(0.005)
