"""What both followers share: how they wait for an issuer that is silent, and what they log."""

from __future__ import annotations

import asyncio
import random
from typing import Final

_MOST_DOUBLINGS: Final = 10  # 2 ** 10 seconds is longer than every limit, and no number overflows


def new_backoff(failures: int, *, longest: float) -> float:
    """Return the seconds to wait after `failures` in a row; `longest` is the upper limit.

    The wait doubles with each failure. Half of it is random, so that the verifiers of one issuer
    do not all come back at the same moment.
    """
    seconds = min(longest, 2.0 ** min(failures - 1, _MOST_DOUBLINGS))
    return seconds * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing


def is_worth_a_line(failures: int) -> bool:
    """Tell whether to log a failure: the first, second, fourth, eighth ... one in a row.

    A long outage then fills no disk.
    """
    return failures & (failures - 1) == 0


def renew(event: asyncio.Event) -> asyncio.Event:
    """Return a new event in the same state.

    An event belongs to the first loop that waits for it. A verifier can be started again in
    another loop, and needs a new event there.
    """
    renewed = asyncio.Event()
    if event.is_set():
        renewed.set()
    return renewed
