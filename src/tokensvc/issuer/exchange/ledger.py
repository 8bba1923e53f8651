"""The ledger: Postgres decides every exchange, many in one batch, and no cache decides any.

This is group commit without a timer: while one batch is under way, requests gather; when its answer
is there, all that have gathered are the next batch. So an idle service adds no wait, and a busy one
asks once for many requests.

A request whose client has gone is left out of the next batch; if its batch is under way already, it
is counted and its answer is dropped. A batch that fails fails its own requests only. A request that
has waited for too long, for its batch and for those before it, is answered without a decision.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import structlog

from tokensvc.core.errors import ClockError, TokensvcError, UnavailableError
from tokensvc.core.ledger import Question, count_questions, hand_out
from tokensvc.issuer.metrics import BATCH_SECONDS, BATCH_SIZE
from tokensvc.store.ledger import LedgerConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tokensvc.core.ledger import Decision, Expectation
    from tokensvc.issuer.mirror.mirror import Mirror
    from tokensvc.store.pool import Database

MAX_BATCH: Final = 256
# A ledger that has answered nothing for so many seconds is asked whether it still answers.
_PROBE_AFTER: Final = 1.0
_REFRESH_TIMEOUT: Final = 3.0
_NOBODY: Final = Question(None, None, None, counts=False)
_LONGEST_SECONDS: Final = 2.25  # with the time until the next look, 2.5
_LOOK_SECONDS: Final = 0.25

_log = structlog.get_logger(__name__)

_T = TypeVar("_T")


class _Waiter(NamedTuple):
    question: Question
    act: Callable[[Decision | None], Any]
    future: asyncio.Future[Any]
    arrived_on: float


class Ledger:
    """Gathers requests into batches; `most_waiting` of them may wait, more are refused at once."""

    def __init__(self, database: Database, mirror: Mirror, *, most_waiting: int) -> None:
        self._mirror = mirror
        self._connection = LedgerConnection(database)
        self._most_waiting = most_waiting
        self._waiting: deque[_Waiter] = deque()
        self._asked: Sequence[_Waiter] = ()
        self._work: asyncio.Task[None] | None = None
        self._answered_on = 0.0
        self.is_answering = True  # as far as the last batch tells
        self._next_look: asyncio.TimerHandle | None = None

    async def judge(self, question: Question, act: Callable[[Decision | None], _T]) -> _T:
        """Return, or raise, what `act` makes of the decision on one request.

        `act` gets None if there is no such key. It is called for all requests of a batch right
        after each other, and it must not wait: this is much faster, because all that it needs is
        still in the processor's cache. Raises UnavailableError.
        """
        if len(self._waiting) >= self._most_waiting:
            raise UnavailableError("too many requests are waiting; try again", reason="ledger_full")
        future: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiter(question, act, future, time.monotonic()))
        if self._work is None:
            self._work = asyncio.create_task(self._ask_until_nobody_waits())
            if self._next_look is None:
                self._look_later()
        return await future

    @property
    def waiting(self) -> int:
        """How many requests are in no batch yet."""
        return len(self._waiting)

    async def probe_once(self) -> None:
        """Ask about nobody, unless there was an answer within the last second.

        So `is_answering` tells of an idle ledger too, and a lost connection is opened again before
        the next exchange.
        """
        if self._work is not None or time.monotonic() - self._answered_on < _PROBE_AFTER:
            return
        with contextlib.suppress(UnavailableError):  # it is logged, and `is_answering` tells it
            await self.judge(_NOBODY, lambda _: None)

    async def close(self) -> None:
        """Stop. Requests that still wait get UnavailableError."""
        if self._next_look is not None:
            self._next_look.cancel()
        if self._work is not None:
            self._work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._work
        self._connection.close()

    async def _ask_until_nobody_waits(self) -> None:
        batch: list[_Waiter] = []
        try:
            while batch := self._next_batch():
                await self._ask(batch)
        finally:
            self._work = None
            _fail(
                [*batch, *self._waiting],
                UnavailableError("the service is stopping; try again", reason="stopping"),
            )
            self._waiting.clear()

    def _next_batch(self) -> list[_Waiter]:
        batch: list[_Waiter] = []
        while self._waiting and len(batch) < MAX_BATCH:
            waiter = self._waiting.popleft()
            if not waiter.future.done():  # it is done already if its client has gone
                batch.append(waiter)
        self._asked = batch
        return batch

    def _look_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._next_look = loop.call_later(_LOOK_SECONDS, self._fail_the_late)

    def _fail_the_late(self) -> None:
        """Fail every request that has waited for too long."""
        self._next_look = None
        if self._work is None:
            return
        limit = time.monotonic() - _LONGEST_SECONDS
        late = [waiter for waiter in (*self._asked, *self._waiting) if waiter.arrived_on < limit]
        _fail(
            late,
            UnavailableError(
                "the database does not answer right now; try again", reason="not_in_time"
            ),
        )
        self._look_later()

    async def _ask(self, batch: Sequence[_Waiter], *, again: bool = True) -> None:
        batch = self._refuse_uncountable(batch)
        if not batch:
            return
        asked = [waiter.question for waiter in batch]
        started = time.perf_counter()
        try:
            verdicts, admitted = await self._connection.judge(
                count_questions(asked), functools.partial(self._expect, batch)
            )
        except ClockError as error:
            if again and await self._judge_the_clock():
                await self._ask(batch, again=False)
                return
            self._fail_all(batch, error)
        except TokensvcError as error:
            self._fail_all(batch, error)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the ledger
            _log.exception("batch_failed", requests=len(batch))
            if len(batch) == 1:
                _fail(batch, error)
                return
            # One request may have caused it, and must not harm the others: ask in two halves.
            middle = len(batch) // 2
            await self._ask(batch[:middle])
            await self._ask(batch[middle:])
        else:
            self.is_answering, self._answered_on = True, time.monotonic()
            if asked != [_NOBODY]:
                BATCH_SIZE.observe(len(batch))
                BATCH_SECONDS.observe(time.perf_counter() - started)
            # Not at once: first the next batch goes to Postgres, which works on it meanwhile.
            asyncio.get_running_loop().call_soon(_act, batch, hand_out(asked, verdicts, admitted))

    def _refuse_uncountable(self, batch: Sequence[_Waiter]) -> Sequence[_Waiter]:
        """Refuse what would be counted and then get no token; return the rest."""
        try:
            self._mirror.confirmation.check_counting()
        except UnavailableError as error:
            _fail([waiter for waiter in batch if waiter.question.counts], error)
            return [waiter for waiter in batch if not waiter.question.counts]
        return batch

    def _expect(self, batch: Sequence[_Waiter]) -> Expectation:
        """Return what must hold for a batch. Raises UnavailableError if it must not be counted."""
        if any(waiter.question.counts for waiter in batch):
            self._mirror.confirmation.check_counting()
        return self._mirror.expect()

    async def _judge_the_clock(self) -> bool:
        """Read Postgres's clock again, which has moved; return whether that was possible."""
        try:
            async with asyncio.timeout(_REFRESH_TIMEOUT):
                await self._mirror.refresh_once()
        except (TokensvcError, TimeoutError) as error:
            _log.warning("clock_not_judged", error=str(error))
            return False
        return True

    def _fail_all(self, batch: Sequence[_Waiter], error: TokensvcError) -> None:
        # Postgres was not asked if its clock is not believed, or if the copies are too old.
        if not isinstance(error, ClockError) and error.reason != "mirror_stale":
            self.is_answering = False
        _log.warning("batch_failed", requests=len(batch), reason=error.reason)
        self._mirror.wake()  # it may have to heal, or to judge the clock
        _fail(batch, error)


def _act(batch: Sequence[_Waiter], decisions: Sequence[Decision | None]) -> None:
    for waiter, decision in zip(batch, decisions, strict=True):
        if waiter.future.done():
            continue
        try:
            result = waiter.act(decision)
        except Exception as error:  # noqa: BLE001 - it is raised where the request waits
            waiter.future.set_exception(error)
        else:
            waiter.future.set_result(result)


def _fail(batch: Sequence[_Waiter], error: Exception) -> None:
    """Fail every request of a batch, each with an error object of its own.

    Each is raised somewhere else, and gets a traceback of its own there.
    """
    for waiter in batch:
        if not waiter.future.done():
            waiter.future.set_exception(_copy(error))


def _copy(error: Exception) -> Exception:
    if isinstance(error, UnavailableError):
        return UnavailableError(error.message, reason=error.reason, retry_after=error.retry_after)
    failure = RuntimeError("the batch failed")
    failure.__cause__ = error
    return failure
