"""Answers that come late: a client that waits for its answer cannot ask often.

They also hide how long the service has worked: the moment of the answer is fixed, or drawn at
random, and does not depend on what was found out. Clients that are answered all at once ask again
all at once, so random moments also keep a flood from becoming a row of waves. For the same reason
only a few answers go out in each round of the event loop: otherwise an exchange would wait for all
of them at each of its steps.

A flood of very many clients is not stopped by that: together they still ask thousands of times a
second. So the more answers are held, the later each comes, and only a certain number come in a
second. When the process falls behind its work nevertheless, answers can come later still. So
exchanges go first, and a flood takes what is left of the processor, however large it is.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from tokensvc.core.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

_TICK: Final = 0.005
# Each round of the event loop costs a third of a refusal, so a few go out together.
_IN_A_ROUND: Final = 8
# A process is behind if a tick ends later than this, in seconds.
_BEHIND: Final = 0.02
_MOST_SPREAD: Final = 10.0  # seconds
# How much the stretch shrinks in a second. If it shrank faster, the answers that are held longest
# would fall together with those that come after them, and the next wave would be twice as high.
_EASED: Final = 0.1
# The spread of answers to networks that are refused often, so that these do not ask in waves.
_FLOOD_SPREAD: Final = 0.25
# With this one, a process that is a tenth of a second behind is asked half as often.
_FLOOD_STRETCH: Final = 20.0
# A refusal takes some 150 us in all, so a flood takes a sixth of a processor.
_FLOOD_A_SECOND: Final = 1000.0


class LateAnswers:
    """Holds answers back for `pause` seconds, `most_held` of them at a time.

    Each is held for up to `spread` seconds more, by chance. If very many are held, the spread gets
    longer, ten seconds at most, so that no more than `most_a_second` come in a second. If the
    process falls behind, it gets longer by `stretch` times the delay. `clock`: monotonic seconds.
    """

    def __init__(
        self,
        *,
        pause: float = 1.0,
        spread: float = 0.0,
        stretch: float = 0.0,
        most_a_second: float = math.inf,
        most_held: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pause = pause
        self._spread = spread
        self._stretch = stretch
        self._most_a_second = most_a_second
        self._stretched = 0.0  # seconds that are added to the spread
        self._judged_on = 0.0
        self._most_held = most_held
        self._held = 0
        self._clock = clock
        self._ticks: dict[int, list[asyncio.Future[None]]] = {}
        self._due: deque[asyncio.Future[None]] = deque()

    async def hold(self, asked_on: float) -> None:
        """Return when the time of an answer has come, `pause` seconds or more after `asked_on`.

        It is the end of a tick, because answers that come together cost less. If that moment is
        over, it returns at once. Raises UnavailableError at once if too many are held.
        """
        spread = self._find_spread()
        until = asked_on + self._pause + spread * random.random()  # noqa: S311 - no secret
        now = self._clock()
        if now >= until:
            return
        if self._held >= self._most_held:
            raise UnavailableError(
                "too many requests of networks with many refused credentials; try again",
                reason="late_answers_full",
            )
        self._held += 1
        try:
            # The end of the tick that `until` lies in.
            await self._wait_for(int(until / _TICK) + 1, now)
        finally:
            self._held -= 1

    def _find_spread(self) -> float:
        """Return for how many seconds beyond the pause the next answer may be held."""
        if not self._held:
            return self._spread
        # An answer is held for the pause and, on average, half of the spread. In that time as many
        # answers come as are held.
        of_crowd = 2 * (self._held / self._most_a_second - self._pause)
        return min(_MOST_SPREAD, max(self._spread, of_crowd) + self._stretched)

    def _wait_for(self, tick: int, now: float) -> asyncio.Future[None]:
        """Return what is done when a tick ends. All who wait for it have one timer together."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        waiting = self._ticks.get(tick)
        if waiting is None:
            waiting = self._ticks[tick] = []
            loop.call_later(tick * _TICK - now, self._end, tick)
        waiting.append(future)
        return future

    def _end(self, tick: int) -> None:
        self._judge_delay(tick * _TICK)
        is_under_way = bool(self._due)
        self._due += self._ticks.pop(tick)
        if not is_under_way:
            self._let_some_go()

    def _judge_delay(self, due_on: float) -> None:
        """Stretch the spread at once if a tick ends late; else let it go back slowly."""
        now = self._clock()
        behind, passed = now - due_on, now - self._judged_on
        eased = max(0.0, self._stretched - _EASED * passed)
        wanted = self._stretch * behind if behind > _BEHIND else 0.0
        self._stretched, self._judged_on = min(_MOST_SPREAD, max(eased, wanted)), now

    def _let_some_go(self) -> None:
        for _ in range(min(_IN_A_ROUND, len(self._due))):
            future = self._due.popleft()
            if not future.done():  # it is done already if its client has gone
                future.set_result(None)
        if self._due:
            asyncio.get_running_loop().call_soon(self._let_some_go)


def build_flood_answers(*, clock: Callable[[], float] = time.monotonic) -> LateAnswers:
    """Return what holds back the answers to those who are refused often."""
    return LateAnswers(
        spread=_FLOOD_SPREAD, stretch=_FLOOD_STRETCH, most_a_second=_FLOOD_A_SECOND, clock=clock
    )
