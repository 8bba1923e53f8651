"""Turns: of the requests that anybody may send, few are answered between two looks at all others.

The published documents and the feed are there for everybody, as often as they like. If all requests
for them that have come were answered in one go, an exchange would wait for all of them at each of
its steps. So only some go on in each round, and rounds may have a pause between them: then a flood
of such requests takes a part of a processor, and exchanges find the rest of it free.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
    """Lets `at_once` requests go on in each round, in the order they came.

    A round begins `pause` seconds after the one before; without a pause, the event loop looks at
    all else once in between.
    """

    def __init__(self, *, at_once: int = 1, pause: float = 0.0) -> None:
        self._at_once = at_once
        self._pause = pause
        self._left = at_once  # in this round
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._next_round: asyncio.Handle | None = None

    async def take(self) -> None:
        """Return when it is the caller's turn."""
        if self._next_round is None:
            self._plan_round()
        if self._left and not self._waiting:
            self._left -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        await turn

    def _plan_round(self) -> None:
        loop = asyncio.get_running_loop()
        if self._pause:
            self._next_round = loop.call_later(self._pause, self._begin_round)
        else:
            self._next_round = loop.call_soon(self._begin_round)

    def _begin_round(self) -> None:
        self._next_round, self._left = None, self._at_once
        while self._waiting and self._left:
            turn = self._waiting.popleft()
            if not turn.done():  # it is done already if its client has gone
                turn.set_result(None)
                self._left -= 1
        if self._waiting:
            self._plan_round()
