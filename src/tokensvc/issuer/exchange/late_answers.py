"""Answers that come late: a client that waits for its answer cannot ask often.

They also hide how long the service has worked: whatever it found out, the answer comes at the same
moment.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from tokensvc.core.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

_TICK: Final = 0.005


class LateAnswers:
    """Holds answers back for `pause` seconds, `most_held` of them at a time.

    `clock`: monotonic, in seconds.
    """

    def __init__(
        self,
        *,
        pause: float = 1.0,
        most_held: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pause = pause
        self._most_held = most_held
        self._held = 0
        self._clock = clock

    async def hold(self, asked_on: float) -> None:
        """Return when `pause` seconds have gone since `asked_on`, at the end of a tick.

        Answers that come together cost less. If that moment is over, it returns at once. Raises
        UnavailableError at once if too many are held.
        """
        until = asked_on + self._pause
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
            await asyncio.sleep(until - now + _TICK - until % _TICK)
        finally:
            self._held -= 1
