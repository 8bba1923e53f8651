"""Futures that many callers wait for: failing them all, and looking for those that are late."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tokensvc.core.errors import OutcomeUnknownError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def fail_all(futures: Iterable[asyncio.Future[Any]], error: Exception) -> None:
    """Fail every future that is not done yet.

    An error that is not an UnavailableError is a fault of ours, and becomes the cause of a
    RuntimeError.
    """
    for future in futures:
        if not future.done():  # it is done already if its client has gone
            future.set_exception(_copy(error))


class LateLook:
    """Calls `look` every `seconds`, from `begin` on, for as long as it returns true.

    One timer looks at all that wait: a timer for each would be work for every exchange.
    """

    def __init__(self, seconds: float, look: Callable[[], bool]) -> None:
        self._seconds = seconds
        self._look = look
        self._next: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Look from now on, unless it does already."""
        if self._next is None:
            self._next = asyncio.get_running_loop().call_later(self._seconds, self._act)

    def stop(self) -> None:
        """Look no more."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _act(self) -> None:
        self._next = None
        if self._look():
            self.begin()


def _copy(error: Exception) -> Exception:
    """Return an equal error: each is raised somewhere else, and gets a traceback of its own."""
    if isinstance(error, UnavailableError):
        kind = OutcomeUnknownError if isinstance(error, OutcomeUnknownError) else UnavailableError
        return kind(error.message, reason=error.reason, retry_after=error.retry_after)
    failure = RuntimeError("the batch failed")
    failure.__cause__ = error
    return failure
