"""An answer in time, whatever becomes of the database.

Each call of the database has a timeout, but a request may need several of them. Here the client
gets its answer before it gives up itself.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tokensvc.core.errors import UnavailableError

LONGEST_SECONDS: Final = 2.5

_T = TypeVar("_T")


async def in_time(
    work: Coroutine[None, None, _T],
    otherwise: UnavailableError,
    *,
    seconds: float = LONGEST_SECONDS,
) -> _T:
    """Return or raise what `work` does; raise `otherwise` if it has not ended after `seconds`.

    It goes on then, and ends by the timeouts of the database. It is not cancelled, because the
    driver would wait for the database even to cancel.
    """
    task = asyncio.ensure_future(work)
    await asyncio.wait({task}, timeout=seconds)
    if task.done():
        return task.result()
    task.add_done_callback(_look_at)
    raise otherwise


def _look_at(task: asyncio.Future[_T]) -> None:
    """Take the result, so that an error does not look like a forgotten one."""
    if not task.cancelled():
        task.exception()
