"""The slow lane: here keys wait that may be guesses, until Postgres has said which of them exist.

A flood of guesses must cost Postgres little and must not stand in front of other exchanges. So the
lane asks about many keys at once, a few times a second, and not on the ledger's connection. The
question changes and locks nothing. Its answer decides only who may go to the ledger.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from tokensvc.core.errors import TokensvcError, UnavailableError
from tokensvc.issuer.futures import LateLook, fail_all
from tokensvc.issuer.metrics import SLOW_LANE_WAITING
from tokensvc.logs.logger import get_logger
from tokensvc.store.api_key import list_existing_digests

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from tokensvc.store.pool import Database

_LOOK_SECONDS: Final = 0.1

_log = get_logger(__name__)


class _Waiter(NamedTuple):
    """A request that waits until the moment `until_on`."""

    digest: bytes
    future: asyncio.Future[bool]
    until_on: float


class SlowLane:
    """A queue of digests of keys, which are looked up in batches.

    `find_existing` returns those of some digests that belong to a key. `most_waiting` requests may
    wait, more are refused. A batch has `at_once` of them at most and begins `tick` seconds after
    the one before. No request waits for longer than `longest_seconds` and a tenth of a second after
    it came.
    """

    def __init__(
        self,
        find_existing: Callable[[Collection[bytes]], Awaitable[set[bytes]]],
        *,
        most_waiting: int = 10_000,
        at_once: int = 1000,
        tick: float = 0.02,
        longest_seconds: float = 2.0,
    ) -> None:
        self._find_existing = find_existing
        self._most_waiting = most_waiting
        self._at_once = at_once
        self._tick = tick
        self._longest_seconds = longest_seconds
        self._waiting: deque[_Waiter] = deque()
        self._asked: Sequence[_Waiter] = ()
        self._work: asyncio.Task[None] | None = None
        self._late_look = LateLook(_LOOK_SECONDS, self._fail_the_late)

    async def exists(self, digest: bytes, arrived_on: float | None = None) -> bool:
        """Tell whether a key with this digest exists. Raises UnavailableError.

        `arrived_on`: when the request came, by the monotonic clock; now by default.
        """
        if len(self._waiting) >= self._most_waiting:
            raise UnavailableError(
                "too many keys wait to be looked up; try again", reason="slow_lane_full"
            )
        if arrived_on is None:
            arrived_on = time.monotonic()
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiter(digest, future, arrived_on + self._longest_seconds))
        if self._work is None:
            self._work = asyncio.create_task(self._ask_until_nobody_waits())
            self._late_look.begin()
        return await future

    async def close(self) -> None:
        """Stop. Requests that still wait get UnavailableError."""
        self._late_look.stop()
        if self._work is not None:
            self._work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._work
            self._work = None
        _fail(self._waiting, "stopping")  # the task may have been cancelled before it began
        self._waiting.clear()

    async def _ask_until_nobody_waits(self) -> None:
        try:
            while self._waiting:
                # First the wait: meanwhile others come, and one question is asked for all of them.
                await asyncio.sleep(self._tick)
                SLOW_LANE_WAITING.set(len(self._waiting))
                size = min(self._at_once, len(self._waiting))
                self._asked = [self._waiting.popleft() for _ in range(size)]
                await self._ask(self._asked)
        finally:
            SLOW_LANE_WAITING.set(len(self._waiting))
            self._work = None
            # Only a cancellation leaves some of them without an answer.
            _fail(self._asked, "stopping")
            self._asked = ()

    async def _ask(self, batch: Sequence[_Waiter]) -> None:
        try:
            existing = await self._ask_twice({waiter.digest for waiter in batch})
        except TokensvcError as error:
            _log.warning("slow_lane_failed", requests=len(batch), reason=error.reason)
            _fail(batch, error.reason)
        except Exception:  # noqa: BLE001 - a fault of ours must not end the lane
            _log.exception("slow_lane_failed", requests=len(batch))
            _fail(batch, "slow_lane_failed")
        else:
            for waiter in batch:
                if not waiter.future.done():
                    waiter.future.set_result(waiter.digest in existing)

    def _fail_the_late(self) -> bool:
        """Fail every request that has waited for too long; return whether others may wait."""
        if self._work is None:
            return False
        now = time.monotonic()
        late = [waiter for waiter in (*self._asked, *self._waiting) if waiter.until_on < now]
        _fail(late, "slow_lane_late")
        return True

    async def _ask_twice(self, digests: Collection[bytes]) -> set[bytes]:
        """Ask, and if no answer comes ask once more: the question changes nothing."""
        try:
            return await self._find_existing(digests)
        except UnavailableError as error:
            _log.warning("slow_lane_asks_again", requests=len(digests), reason=error.reason)
            return await self._find_existing(digests)


async def find_existing(database: Database, digests: Collection[bytes]) -> set[bytes]:
    """Return those of `digests` that belong to a key. Raises UnavailableError."""
    async with database.connection() as connection:
        return await list_existing_digests(connection, digests)


def _fail(batch: Collection[_Waiter], reason: str) -> None:
    """Fail every request that still waits."""
    error = UnavailableError("the key cannot be looked up right now; try again", reason=reason)
    fail_all([waiter.future for waiter in batch], error)
