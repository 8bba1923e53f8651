"""`python -m bench.watched serve ...`: the command line, with a watch on the event loop.

Twice in a second it appends a line of JSON to the file `loop-watch` in the present folder: how long
the loop was held, and which callbacks took long. It is for measurements alone.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TextIO

import asyncpg.protocol
import uvloop

from bench.callbacks import Callbacks, LongCallback, TimedLoop
from tokensvc.cli import main
from tokensvc.web.protocol import Protocol

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
    counts whatever kept the loop waiting, other processes too. `callbacks`: those that took long.
    """

    busy: float
    late: float
    callbacks: list[LongCallback]


def read_held(folder: Path, since: int = 0) -> tuple[Held, int]:
    """Return how long the loop was held since line `since`, and the number of lines now."""
    lines = (folder / FILE).read_text().splitlines()
    seen = [json.loads(line) for line in lines[since:]]
    busy, late = (max((one[name] for one in seen), default=0.0) for name in ("busy", "late"))
    callbacks = [LongCallback(*noted) for one in seen for noted in one["callbacks"]]
    return Held(busy, late, callbacks), len(lines)


async def _watch(callbacks: Callbacks, file: TextIO) -> None:
    while True:
        busy = late = 0.0
        until = time.perf_counter() + _REPORT_SECONDS
        while time.perf_counter() < until:
            due_on, used = time.perf_counter() + _BEAT_SECONDS, time.thread_time()
            await asyncio.sleep(_BEAT_SECONDS)
            busy = max(busy, time.thread_time() - used)
            late = max(late, time.perf_counter() - due_on)
        held = Held(round(1000 * busy, 2), round(1000 * late, 2), callbacks.take())
        file.write(json.dumps(held._asdict()) + "\n")


def _time_what_arrives(callbacks: Callbacks) -> None:
    """Time what clients and Postgres send too: the loop hands it over without a callback."""
    receive = Protocol.data_received

    def data_received(self: Protocol, data: bytes) -> None:
        callbacks.run(receive, self, data)

    Protocol.data_received = data_received  # type: ignore[method-assign]

    driver: Any = asyncpg.protocol

    class DriverProtocol(driver.Protocol):  # type: ignore[misc]
        def data_received(self, data: bytes) -> None:
            callbacks.run(super().data_received, data)

    driver.Protocol = DriverProtocol


def _run_watched(main: Coroutine[Any, Any, Any]) -> None:
    callbacks = Callbacks()
    _time_what_arrives(callbacks)

    async def watched(file: TextIO) -> None:
        watch = asyncio.create_task(_watch(callbacks, file))
        try:
            await main
        finally:
            watch.cancel()

    with Path(FILE).open("a", buffering=1) as file:
        _run(watched(file), loop_factory=lambda: TimedLoop(callbacks))


if __name__ == "__main__":
    uvloop.run = _run_watched  # type: ignore[assignment]
    main()
