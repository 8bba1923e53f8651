"""Failing everybody who waits for one thing, each with an error of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokensvc.core.errors import OutcomeUnknownError, UnavailableError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable


def fail_all(futures: Iterable[asyncio.Future[Any]], error: Exception) -> None:
    """Fail every future that is not done yet.

    An error that is not an UnavailableError is a fault of ours, and becomes the cause of a
    RuntimeError.
    """
    for future in futures:
        if not future.done():  # it is done already if its client has gone
            future.set_exception(_copy(error))


def _copy(error: Exception) -> Exception:
    """Return an equal error: each is raised somewhere else, and gets a traceback of its own."""
    if isinstance(error, UnavailableError):
        kind = OutcomeUnknownError if isinstance(error, OutcomeUnknownError) else UnavailableError
        return kind(error.message, reason=error.reason, retry_after=error.retry_after)
    failure = RuntimeError("the batch failed")
    failure.__cause__ = error
    return failure
