"""Turns: of the requests that anybody may send, one is answered between two looks at all others.

The published documents and the feed are there for everybody, as often as they like. If all requests
for them that have come were answered in one go, an exchange would wait for all of them at each of
its steps. So only one goes on in each round of the event loop. Together they are as fast as before.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
    """Lets `at_once` requests go on in each round of the event loop, in the order they came."""

    def __init__(self, *, at_once: int = 1) -> None:
        self._at_once = at_once
        self._left = at_once  # in this round
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._next_round: asyncio.Handle | None = None

    async def take(self) -> None:
        """Return when it is the caller's turn."""
        loop = asyncio.get_running_loop()
        if self._next_round is None:
            self._next_round = loop.call_soon(self._begin_round)
        if self._left and not self._waiting:
            self._left -= 1
            return
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _begin_round(self) -> None:
        self._next_round, self._left = None, self._at_once
        while self._waiting and self._left:
            turn = self._waiting.popleft()
            if not turn.done():  # it is done already if its client has gone
                turn.set_result(None)
                self._left -= 1
        if self._waiting:
            self._next_round = asyncio.get_running_loop().call_soon(self._begin_round)
