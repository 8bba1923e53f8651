"""Counts of very many rows, kept by the process so that hardly anybody waits for them.

What is counted of few rows is counted each time. What is kept says when it was counted.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from tokensvc.core.errors import TokensvcError
from tokensvc.logs.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    # What is counted, and of which account; None: of all.
    Name = tuple[str, str | None]

T = TypeVar("T")

MANY: Final = 10_000  # rows: fewer are counted in some milliseconds
_FRESH_SECONDS: Final = 10.0
_PAUSE: Final = 50  # times as long as counting took; only after that is it counted again
_LONGEST_SECONDS: Final = 600.0

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Counted(Generic[T]):
    """What was counted, at which moment of Postgres's clock, of how many rows."""

    value: T
    at: datetime
    rows: int


@dataclass(frozen=True, slots=True)
class _Kept:
    counted: Counted[Any]
    on: float
    fresh_seconds: float


class KeptCounts:
    """Counts that one process keeps."""

    def __init__(self, *, many: int = MANY, clock: Callable[[], float] = time.monotonic) -> None:
        self._many = many
        self._clock = clock
        self._kept: dict[Name, _Kept] = {}
        self._running: dict[Name, asyncio.Task[None]] = {}

    async def find(self, name: Name, count: Callable[[], Awaitable[Counted[T]]]) -> Counted[T]:
        """Return what `count` returns, or what it returned some time ago if that were many rows.

        A count that is no longer fresh is renewed in the background, one that is very old before it
        is returned. `count` takes its own connection. Raises what it raises.
        """
        kept = self._kept.get(name)
        age = 0.0 if kept is None else self._clock() - kept.on
        if kept is None or age > max(_LONGEST_SECONDS, kept.fresh_seconds):
            return await self._count(name, count)
        if age > kept.fresh_seconds and name not in self._running:
            self._running[name] = asyncio.create_task(self._count_again(name, count))
        return kept.counted

    async def _count(self, name: Name, count: Callable[[], Awaitable[Counted[T]]]) -> Counted[T]:
        begun_on = self._clock()
        counted = await count()
        ended_on = self._clock()
        if counted.rows < self._many:
            # It has become small, so it is counted each time from now on.
            self._kept.pop(name, None)
        else:
            fresh = max(_FRESH_SECONDS, _PAUSE * (ended_on - begun_on))
            self._kept[name] = _Kept(counted, ended_on, fresh)
        return counted

    async def _count_again(self, name: Name, count: Callable[[], Awaitable[Counted[Any]]]) -> None:
        try:
            await self._count(name, count)
        except TokensvcError as error:
            _log.warning("count_failed", what=name[0], reason=error.reason)
        finally:
            del self._running[name]

    async def close(self) -> None:
        """Stop counting."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
