"""One batch of the ledger: its requests are put to Postgres together, and each gets its decision.

Requests that must not be counted now are refused before; those that are only judged go on.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tokensvc.core.errors import ClockError, TokensvcError, UnavailableError
from tokensvc.core.ledger import Question, count_questions, hand_out
from tokensvc.issuer.futures import fail_all
from tokensvc.issuer.metrics import BATCH_SECONDS, BATCH_SIZE, BATCHES_FAILED
from tokensvc.logs.logger import get_logger
from tokensvc.traces.tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tokensvc.core.ledger import Decision, Expectation
    from tokensvc.issuer.mirror.mirror import Mirror
    from tokensvc.store.ledger import LedgerConnection
    from tokensvc.traces.tracer import RequestSpan

NOBODY: Final = Question(None, None, None, counts=False)
_REFRESH_TIMEOUT: Final = 3.0
# Signing this many tokens takes some 2 ms. Tokens that are signed in one go cost less each.
_ACTS_AT_ONCE: Final = 32

_log = get_logger(__name__)


class Waiter(NamedTuple):
    """A request that waits for its decision; `arrived_on` by the monotonic clock.

    `span`: that of the request, if it is traced.
    """

    question: Question
    act: Callable[[Decision | None], Any]
    future: asyncio.Future[Any]
    arrived_on: float
    span: RequestSpan | None


class BatchJudge:
    """Puts batches to Postgres, one at a time.

    `is_answering`: whether Postgres does, as far as the last batch tells. `answered_on`: when it
    did last, by the monotonic clock.
    """

    def __init__(self, connection: LedgerConnection, mirror: Mirror) -> None:
        self._connection = connection
        self._mirror = mirror
        self.is_answering = True
        self.answered_on = 0.0

    def close(self) -> None:
        """Cut the connection."""
        self._connection.close()

    async def settle(self, batch: Sequence[Waiter], *, again: bool = True) -> None:
        """Ask Postgres about a batch, and answer those who wait. It raises nothing.

        `again`: whether a second question may follow if nothing was counted by the first.
        """
        # The copies may have become too old while these requests waited for the batch before.
        batch = self._refuse_uncountable(batch)
        if not batch:
            return
        asked = [waiter.question for waiter in batch]
        started = time.perf_counter()
        try:
            judging = self._connection.judge_batch(
                count_questions(asked), functools.partial(self._expect, batch)
            )
            if Tracing.tracer is not None:
                spans = [waiter.span for waiter in batch if waiter.span is not None]
                judging = Tracing.tracer.trace_batch(judging, spans)
            verdicts, admitted = await judging
        except TokensvcError as error:
            if again and await self._may_ask_again(error):
                await self.settle(batch, again=False)
            else:
                self._give_up(batch, error)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the ledger
            BATCHES_FAILED.inc()
            _log.exception("batch_failed", requests=len(batch))
            await self._settle_halves(batch, error)
        else:
            self.is_answering, self.answered_on = True, time.monotonic()
            # A probe of the ledger is no exchange, and is not measured.
            if asked != [NOBODY]:
                BATCH_SIZE.observe(len(batch))
                BATCH_SECONDS.observe(time.perf_counter() - started)
            # Not at once: first the next batch goes to Postgres, which works on it meanwhile.
            decided = deque(zip(batch, hand_out(asked, verdicts, admitted), strict=True))
            asyncio.get_running_loop().call_soon(_act, decided)

    async def _settle_halves(self, batch: Sequence[Waiter], error: Exception) -> None:
        """Ask in two halves: one request may have caused the error and must not harm the others."""
        if len(batch) == 1:
            fail(batch, error)
            return
        middle = len(batch) // 2
        await self.settle(batch[:middle])
        await self.settle(batch[middle:])

    def _refuse_uncountable(self, batch: Sequence[Waiter]) -> Sequence[Waiter]:
        """Refuse what would be counted and then get no token; return the rest."""
        try:
            self._mirror.postgres_clock.check_counting()
        except UnavailableError as error:
            fail([waiter for waiter in batch if waiter.question.counts], error)
            return [waiter for waiter in batch if not waiter.question.counts]
        return batch

    def _expect(self, batch: Sequence[Waiter]) -> Expectation:
        """Return what must hold for a batch. Raises UnavailableError if it must not be counted."""
        # Opening a connection takes time, so what held when the batch was made is asked again.
        if any(waiter.question.counts for waiter in batch):
            self._mirror.postgres_clock.check_counting()
        return self._mirror.expect()

    async def _may_ask_again(self, error: TokensvcError) -> bool:
        """Tell whether nothing was counted, and a second question may get another answer."""
        if error.reason == "mirror_stale":
            return True  # `settle` refuses those that would be counted, and asks about the rest
        if not isinstance(error, ClockError):
            return False
        # Postgres's clock has moved: it is read again.
        try:
            async with asyncio.timeout(_REFRESH_TIMEOUT):
                await self._mirror.refresh_once()
        except (TokensvcError, TimeoutError) as failure:
            _log.warning("clock_not_judged", error=str(failure))
            return False
        return True

    def _give_up(self, batch: Sequence[Waiter], error: TokensvcError) -> None:
        # Postgres was not asked if its clock is not believed, or if the copies are too old.
        if not isinstance(error, ClockError) and error.reason != "mirror_stale":
            self.is_answering = False
        BATCHES_FAILED.inc()
        _log.warning("batch_failed", requests=len(batch), reason=error.reason)
        self._mirror.wake()  # it may have to heal, or to judge the clock
        fail(batch, error)


def fail(batch: Sequence[Waiter], error: Exception) -> None:
    """Fail every request of a batch that still waits."""
    fail_all([waiter.future for waiter in batch], error)


def _act(decided: deque[tuple[Waiter, Decision | None]]) -> None:
    """Answer the next few of a batch; all else that is waiting goes before the rest of it."""
    for _ in range(min(_ACTS_AT_ONCE, len(decided))):
        waiter, decision = decided.popleft()
        # It was refused as late, or its client has gone. Postgres has counted it nevertheless.
        if waiter.future.done():
            continue
        try:
            result = waiter.act(decision)
        except TokensvcError as error:
            # Its traceback would hold this frame, and so the whole batch and its futures, in a
            # circle that only the garbage collector finds.
            waiter.future.set_exception(error.with_traceback(None))
        except Exception as error:  # noqa: BLE001 - it is raised where the request waits
            waiter.future.set_exception(error)
        else:
            waiter.future.set_result(result)
    if decided:
        asyncio.get_running_loop().call_soon(_act, decided)
