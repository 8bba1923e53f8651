"""Parts of pages that wait for news: one held request each, and no timer in the browser.

A part is a fragment that asks for itself again as soon as it stands in the page:

    <div hx-get="{{ at("/denylist/followers") }}?seen={{ seen }}" hx-trigger="load"
         hx-swap="outerHTML">...</div>

Its page returns what `wait_for_news` returns. The first time there is no `seen`, and the answer
comes at once. After that it comes when there is something else to show, or after a while.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from typing import TYPE_CHECKING, Any, Final

from tokensvc.web.app_keys import POLLS, SERVICE
from tokensvc.web.client_address import find_network

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tokensvc.web.dashboard.page import Visit

LONGEST_SECONDS: Final = 20.0
_PAUSE_SECONDS: Final = 0.5


async def wait_for_news(
    visit: Visit,
    look: Callable[[], Awaitable[dict[str, Any]]],
    *,
    pause: float = _PAUSE_SECONDS,
) -> dict[str, Any]:
    """Return what `look` returns, and `seen`, when it is not what the reader has seen already.

    `look` is asked every `pause` seconds. It returns only what is shown, as it is shown: what
    changes all the time is rounded. A reader whose browser has gone is not waited for.
    """
    request = visit.request
    service = request.app[SERVICE]
    hops = service.settings.trusted_proxy_hops

    def is_over() -> bool:
        """Whether to stop waiting: the process leaves, or the browser has gone."""
        has_gone = request.transport is None or request.transport.is_closing()
        return has_gone or service.mirror.denylist.is_released

    wanted = LONGEST_SECONDS if "seen" in visit.query else 0
    with request.app[POLLS].hold(find_network(request, hops), wanted) as allowed:
        deadline_on = time.monotonic() + allowed
        while True:
            # What changes all the time must not be asked for all the time: the pause comes first,
            # also if so many wait already that none may be held, because the browser asks again.
            await _wait(min(pause, max(allowed, _PAUSE_SECONDS), wanted), is_over)
            values = await look()
            seen = hashlib.sha256(repr(values).encode()).hexdigest()[:16]
            # There is no time for another look.
            is_late = time.monotonic() + pause > deadline_on
            if seen != visit.query.get("seen") or is_late or is_over():
                return {**values, "seen": seen}


async def _wait(seconds: float, is_over: Callable[[], bool]) -> None:
    """Wait; stop when it is over."""
    for _ in range(math.ceil(seconds / _PAUSE_SECONDS)):
        if is_over():
            return
        await asyncio.sleep(min(seconds, _PAUSE_SECONDS))
