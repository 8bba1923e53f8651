"""The clock of a verifier.

The wall clock judges the times in tokens and pages. The monotonic clock measures how old keys and
denylist are, because nobody can set it back.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Where a verifier reads the time.

    `wall` returns seconds since 1970. `monotonic` returns seconds since any moment, as long as it
    is always the same moment.
    """

    wall: Callable[[], float]
    monotonic: Callable[[], float]


SYSTEM_CLOCK: Final = Clock(wall=time.time, monotonic=time.monotonic)
