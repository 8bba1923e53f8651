"""`python -m bench.watched serve ...`: the command line, with a watch on the event loop.

Twice in a second it appends a line to the file `loop-watch` in the present folder: the processor
time in milliseconds that the loop's thread has used without a pause at most, and how many
milliseconds late a timer was at most. It is for measurements alone.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TextIO

import uvloop

from tokensvc.cli import main

if TYPE_CHECKING:
    from collections.abc import Coroutine

FILE: Final = "loop-watch"
_BEAT_SECONDS: Final = 0.001
_REPORT_SECONDS: Final = 0.5

_run: Final = uvloop.run


class Held(NamedTuple):
    """How long an event loop was held at most, in milliseconds.

    `busy`: processor time between two beats, one millisecond apart. It is that of everything that
    was ready at once, so no callback took longer. `late`: how much later than due a beat was. That
    counts whatever kept the loop waiting, other processes too.
    """

    busy: float
    late: float


def read_held(folder: Path, since: int = 0) -> tuple[Held, int]:
    """Return how long the loop was held since line `since`, and the number of lines now."""
    lines = (folder / FILE).read_text().splitlines()
    seen = [Held(*map(float, line.split())) for line in lines[since:]]
    most = Held(max((s.busy for s in seen), default=0.0), max((s.late for s in seen), default=0.0))
    return most, len(lines)


async def _watch(file: TextIO) -> None:
    while True:
        busy = late = 0.0
        until = time.perf_counter() + _REPORT_SECONDS
        while time.perf_counter() < until:
            due_on, used = time.perf_counter() + _BEAT_SECONDS, time.thread_time()
            await asyncio.sleep(_BEAT_SECONDS)
            busy = max(busy, time.thread_time() - used)
            late = max(late, time.perf_counter() - due_on)
        file.write(f"{1000 * busy:.2f} {1000 * late:.2f}\n")


def _run_watched(main: Coroutine[Any, Any, Any]) -> None:
    async def watched(file: TextIO) -> None:
        watch = asyncio.create_task(_watch(file))
        try:
            await main
        finally:
            watch.cancel()

    with Path(FILE).open("a", buffering=1) as file:
        _run(watched(file))


if __name__ == "__main__":
    uvloop.run = _run_watched  # type: ignore[assignment]
    main()
