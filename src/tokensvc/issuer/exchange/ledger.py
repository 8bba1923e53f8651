"""The ledger: Postgres decides every exchange, many in one batch, and no cache grants any.

This is group commit without a timer: while one batch is under way, requests gather; when its answer
is there, all that have gathered are the next batch. So an idle service adds no wait, and a busy one
asks once for many requests.

A request whose client has gone is left out of the next batch; if its batch is under way already, it
is counted and its answer is dropped. A batch that fails fails its own requests only. A request that
has waited for too long, for its batch and for those before it, is answered without a decision.

    Exchange.issue -> GuessGuard.let_through -> Ledger.join_batch
        -> BatchJudge.settle -> LedgerConnection.judge_batch -> judge_exchanges_2 (in Postgres)
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from typing import TYPE_CHECKING, Final, TypeVar

from tokensvc.core.errors import UnavailableError
from tokensvc.issuer.exchange.batch import NOBODY, BatchJudge, Waiter, fail
from tokensvc.issuer.futures import LateLook
from tokensvc.traces.tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tokensvc.core.ledger import Decision, Question
    from tokensvc.issuer.mirror.mirror import Mirror
    from tokensvc.store.ledger import LedgerConnection

MAX_BATCH: Final = 256
LONGEST_SECONDS: Final = 2.25  # with the time until the next look, 2.5
_LOOK_SECONDS: Final = 0.25
# A ledger that has answered nothing for this long is asked whether it still answers.
_PROBE_AFTER: Final = 1.0

_T = TypeVar("_T")


class Ledger:
    """Gathers requests into batches; `most_waiting` of them may wait, more are refused at once.

    None waits for longer than `longest_seconds` and a quarter of a second. After `probe_after`
    seconds without an answer, Postgres is asked whether it still answers.
    """

    def __init__(
        self,
        connection: LedgerConnection,
        mirror: Mirror,
        *,
        most_waiting: int,
        longest_seconds: float = LONGEST_SECONDS,
        probe_after: float = _PROBE_AFTER,
    ) -> None:
        self._batches = BatchJudge(connection, mirror)
        self._most_waiting = most_waiting
        self._longest_seconds = longest_seconds
        self._probe_after = probe_after
        self._waiting: deque[Waiter] = deque()
        self._asked: Sequence[Waiter] = ()
        self._work: asyncio.Task[None] | None = None
        self._late_look = LateLook(_LOOK_SECONDS, self._fail_the_late)

    async def join_batch(
        self,
        question: Question,
        act: Callable[[Decision | None], _T],
        arrived_on: float | None = None,
    ) -> _T:
        """Return, or raise, what `act` makes of the decision on one request.

        `act` gets None if there is no such key. It is called for all requests of a batch right
        after each other, and it must not wait: this is much faster, because all that it needs is
        still in the processor's cache. `arrived_on`: when the request came, by the monotonic clock;
        now by default. Raises UnavailableError.
        """
        # A request behind so many others gets no answer in time, so it is refused at once.
        if len(self._waiting) >= self._most_waiting:
            raise UnavailableError("too many requests are waiting; try again", reason="ledger_full")
        future: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        if arrived_on is None:
            arrived_on = time.monotonic()
        span = None if Tracing.tracer is None else Tracing.tracer.find_span()
        self._waiting.append(Waiter(question, act, future, arrived_on, span))
        if self._work is None:
            self._work = asyncio.create_task(self._ask_until_nobody_waits())
            self._late_look.begin()
        try:
            return await future
        finally:
            # A refusal, its traceback and this frame would hold each other, until the garbage
            # collector comes.
            del future

    @property
    def waiting(self) -> int:
        """How many requests are in no batch yet."""
        return len(self._waiting)

    @property
    def is_answering(self) -> bool:
        """Whether Postgres answers, as far as the last batch tells."""
        return self._batches.is_answering

    async def probe_once(self) -> None:
        """Ask about nobody, unless there was an answer a moment ago.

        So `is_answering` tells of an idle ledger too, and a lost connection is opened again before
        the next exchange.
        """
        if (
            self._work is not None
            or time.monotonic() - self._batches.answered_on < self._probe_after
        ):
            return
        with contextlib.suppress(UnavailableError):  # it is logged, and `is_answering` tells it
            await self.join_batch(NOBODY, lambda _: None)

    async def close(self) -> None:
        """Stop. Requests that still wait get UnavailableError."""
        self._late_look.stop()
        if self._work is not None:
            self._work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._work
            self._stop_waiting()  # the task may have been cancelled before it began
        self._batches.close()

    async def _ask_until_nobody_waits(self) -> None:
        try:
            while batch := self._next_batch():
                await self._batches.settle(batch)
        finally:
            # However this ends, nobody may be left waiting for a batch that never comes.
            self._stop_waiting()

    def _next_batch(self) -> Sequence[Waiter]:
        batch: list[Waiter] = []
        while self._waiting and len(batch) < MAX_BATCH:
            waiter = self._waiting.popleft()
            if not waiter.future.done():  # it is done already if its client has gone
                batch.append(waiter)
        self._asked = batch
        return batch

    def _stop_waiting(self) -> None:
        """Note that no batch is under way, and fail all who still wait for one."""
        self._work = None
        left = [*self._asked, *self._waiting]
        self._waiting.clear()
        self._asked = ()
        fail(left, UnavailableError("the service is stopping; try again", reason="stopping"))

    def _fail_the_late(self) -> bool:
        """Fail every request that has waited for too long; return whether others may wait."""
        if self._work is None:
            return False
        limit = time.monotonic() - self._longest_seconds
        late = [waiter for waiter in (*self._asked, *self._waiting) if waiter.arrived_on < limit]
        fail(late, build_late_error())
        return True


def build_late_error() -> UnavailableError:
    """Return the error for a request that has no answer when its time is over."""
    return UnavailableError(
        "the database does not answer right now; try again", reason="not_in_time"
    )
