"""Acts that gather into batches, without a timer.

While some batches are under way, acts gather; the next batch takes all that have gathered. So a
single act is carried out at once, and many share one statement, one commit and one round trip.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

from tokensvc.core.errors import UnavailableError
from tokensvc.issuer.futures import fail_all

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

MAX_BATCH: Final = 256
# Batches under way at once: one may wait for a lock, or for a Postgres that is far away.
_UNDER_WAY: Final = 3
# The reason of the error that `store` raises if a lock was not given in time.
_LOCKED: Final = "database_LockNotAvailableError"

_T = TypeVar("_T")
_R = TypeVar("_R")


class _Waiter(NamedTuple, Generic[_T, _R]):
    item: _T
    future: asyncio.Future[_R]


class Batches(Generic[_T, _R]):
    """Gathers items into batches for `act`, which returns a result for each, in the same order.

    `most_waiting` of them may wait, more are refused at once.
    """

    def __init__(
        self, act: Callable[[Sequence[_T]], Awaitable[Sequence[_R]]], *, most_waiting: int
    ) -> None:
        self._act = act
        self._most_waiting = most_waiting
        self._waiting: deque[_Waiter[_T, _R]] = deque()
        self._under_way = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def add(self, item: _T) -> _R:
        """Return the result of one item. Raises what its batch raised, or UnavailableError."""
        if len(self._waiting) >= self._most_waiting:
            raise UnavailableError(
                "too many revocations at once; try again", reason="revocations_full"
            )
        future: asyncio.Future[_R] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiter(item, future))
        if self._under_way < _UNDER_WAY:
            self._under_way += 1
            task = asyncio.create_task(self._act_until_nobody_waits())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await future

    async def close(self) -> None:
        """Wait until all batches are through."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _act_until_nobody_waits(self) -> None:
        try:
            while self._waiting:
                size = min(len(self._waiting), MAX_BATCH)
                await self._carry_out([self._waiting.popleft() for _ in range(size)])
        finally:
            self._under_way -= 1

    async def _carry_out(self, batch: Sequence[_Waiter[_T, _R]]) -> None:
        error = await self._try(batch)
        if error is None:
            return
        if len(batch) > 1 and _is_locked(error):
            # Somebody holds the row of one of them. The others must not suffer for it. But if two
            # of them fail alone, it is a row that all need, and the rest would wait in vain.
            failed = 0
            for number, waiter in enumerate(batch):
                alone = await self._try([waiter])
                if alone is not None:
                    failed += 1
                    _fail([waiter] if failed == 1 else batch[number:], alone)
                if failed > 1:
                    return
        else:
            _fail(batch, error)

    async def _try(self, batch: Sequence[_Waiter[_T, _R]]) -> Exception | None:
        """Act, and answer those who wait; return the error if that failed."""
        try:
            results = await self._act([waiter.item for waiter in batch])
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait
            return error
        for waiter, result in zip(batch, results, strict=True):
            if not waiter.future.done():  # it is done already if its client has gone
                waiter.future.set_result(result)
        return None


def _is_locked(error: Exception) -> bool:
    return isinstance(error, UnavailableError) and error.reason == _LOCKED


def _fail(batch: Sequence[_Waiter[_T, _R]], error: Exception) -> None:
    fail_all([waiter.future for waiter in batch], error)
