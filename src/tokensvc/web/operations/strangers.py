"""Callers of operations that are open to everybody: how often, how many at once, and how late.

The answer to a stranger must not tell by its time what was found. So it comes at the end of a whole
second after the request, and the work is done long before that.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from tokensvc.core.actor import Actor
from tokensvc.core.errors import RateLimitedError, UnavailableError
from tokensvc.core.limit import MINUTE
from tokensvc.issuer.exchange.late_answers import LateAnswers
from tokensvc.issuer.exchange.network_counts import NetworkCounts
from tokensvc.issuer.metrics import RATE_LIMITED
from tokensvc.issuer.revoking.leaks import REPORTER
from tokensvc.operations.rights import Principal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

_POLICY: Final = "leak-reports"
_PAUSE: Final = 1.0
_LONGEST_WAIT_SECONDS: Final = 2.0


class Strangers:
    """Lets a network call `allowed` times a minute, and `at_once` callers work at a time.

    `pause`: answers come at whole multiples of this many seconds. `clock`: monotonic, in seconds.
    """

    def __init__(
        self,
        *,
        allowed: int,
        at_once: int = 2,
        pause: float = _PAUSE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._allowed = allowed
        self._pause = pause
        self._clock = clock
        self._counts = NetworkCounts(clock=clock)
        self._late_answers = LateAnswers(pause=pause, clock=clock)
        self._free = asyncio.Semaphore(at_once)

    def check(self, network: str) -> None:
        """Count a call of a network. Raises RateLimitedError."""
        if self._counts.add(network) <= self._allowed:
            return
        RATE_LIMITED.labels(_POLICY).inc()
        raise RateLimitedError(
            f"the limit of {self._allowed} reports per minute for your network is used up; "
            f"a report may hold many keys",
            policy=_POLICY,
            limit=self._allowed,
            window=MINUTE,
            retry_after=self._counts.seconds_left(),
        )

    @asynccontextmanager
    async def take_turn(self) -> AsyncIterator[None]:
        """Let the block work when it is its turn; leave it when it is time for the answer.

        Raises UnavailableError.
        """
        asked_on = self._clock()
        try:
            async with asyncio.timeout(_LONGEST_WAIT_SECONDS):
                await self._free.acquire()
        except TimeoutError as error:
            raise UnavailableError(
                "too many reports at once; try again", reason="strangers_full"
            ) from error
        try:
            yield
        finally:
            self._free.release()
        # The answer comes at the end of the second in which the work has ended: as if it had been
        # asked for at the beginning of that second.
        gone = (self._clock() - asked_on) // self._pause
        await self._late_answers.hold(asked_on + gone * self._pause)


def build_stranger(address: str | None, request_id: str) -> Principal:
    """Return a caller who shows no credential."""
    actor = Actor(name=REPORTER.name, address=address, request_id=request_id)
    return Principal(actor=actor, capabilities=frozenset())
