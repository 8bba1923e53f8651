"""Was it the product, the measurement or the machine? A plain process looks at the machine.

    python -m bench.watched_machine PID

It prints a line four times a second, about the process PID and those that it has started: the
moment by the monotonic clock; how many seconds later than due it has written a few bytes to the
disk itself; and for how many seconds since the line before a process of the measurement, of a
service and of Postgres was ready to run and was given no processor (the one that waited longest).
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

WINDOW: Final = 10.0  # seconds before something was noticed in which its cause is looked for
_LONG: Final = 1.0  # whoever is so late explains what others were late with
_STARVED: Final = 0.5  # so does who waited for the processor for this share of the window
_LOOK: Final = 0.25
_BEAT: Final = 0.05
_NAMES: Final = ("the measurement", "services", "Postgres")
_PARTIES: Final = {"tokensvc": 1, "postgres": 2}  # places in these names, by program


class Sample(NamedTuple):
    """One line: what was seen at a moment, and since the sample before."""

    on: float
    late: float
    waited: tuple[float, float, float]  # of the measurement, services, Postgres


class Excuse(NamedTuple):
    """Who was late itself, when something else was late; None if nobody was long enough."""

    who: str | None
    figures: str


class Machine:
    """What a plain process has seen of the machine, and how late this process's own loop was."""

    def __init__(self) -> None:
        self._samples: list[Sample] = []
        self._own: list[tuple[float, float]] = []  # when a timer was late, and by how much

    async def run(self) -> None:
        """Look until cancelled."""
        command = (sys.executable, "-m", "bench.watched_machine", str(os.getpid()))
        looker = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert looker.stdout is not None
        beat = asyncio.create_task(self._beat())
        try:
            async for line in looker.stdout:
                on, late, *waited = map(float, line.split())
                self._samples.append(Sample(on, late, (waited[0], waited[1], waited[2])))
        finally:
            beat.cancel()
            with suppress(ProcessLookupError):
                looker.kill()
            await looker.wait()

    async def _beat(self) -> None:
        while True:
            due_on = time.monotonic() + _BEAT
            await asyncio.sleep(_BEAT)
            late = time.monotonic() - due_on
            if late > _BEAT:
                self._own.append((due_on + late, late))

    def find_excuse(self, noticed_on: float) -> Excuse:
        """Return who else was late in the seconds before a moment."""
        began_on, ended_on = noticed_on - WINDOW, noticed_on + _LOOK
        samples = [sample for sample in self._samples if began_on < sample.on <= ended_on]
        plain = max((sample.late for sample in samples), default=0.0)
        own = max((late for on, late in self._own if began_on < on <= ended_on), default=0.0)
        waited = _add_up(samples)
        figures = (
            f"within {WINDOW:.0f} s a plain process was {plain:.1f} s late, the measurement "
            f"{own:.1f} s; waited for the processor: {_write_waited(waited, 's')}"
        )
        if plain >= _LONG or max(waited) >= _STARVED * WINDOW:
            return Excuse("the machine", figures)
        return Excuse("the measurement" if own >= _LONG else None, figures)

    def describe(self) -> str:
        """Return in one line how the machine was during the whole measurement."""
        plain = max((sample.late for sample in self._samples), default=0.0)
        own = max((late for _, late in self._own), default=0.0)
        seconds = max(1, len(self._samples)) * _LOOK
        shares = [100 * waited / seconds for waited in _add_up(self._samples)]
        return (
            f"a plain process was {plain:.2f} s late at most, the measurement {own:.2f} s; "
            f"waited for the processor: {_write_waited(shares, '%')}"
        )


def _add_up(samples: Sequence[Sample]) -> list[float]:
    return [sum(sample.waited[place] for sample in samples) for place in range(len(_NAMES))]


def _write_waited(amounts: Iterable[float], unit: str) -> str:
    named = zip(_NAMES, amounts, strict=True)
    return ", ".join(f"{name} {amount:.1f} {unit}" for name, amount in named)


def _find_descendants(pid: int) -> Iterator[int]:
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):  # of each thread that started some
        with suppress(OSError):
            for child in map(int, listed.read_text().split()):
                if child != os.getpid():
                    yield child
                    yield from _find_descendants(child)


def _read_waited(root: int) -> dict[int, tuple[int, float]]:
    """Return of each process whose it is, and for how long it has waited for the processor."""
    found = {}
    for pid in (root, *_find_descendants(root)):
        with suppress(OSError, IndexError):
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            party = 0 if pid == root else _PARTIES.get(name)
            nanoseconds = int(Path(f"/proc/{pid}/schedstat").read_text().split()[1])
            if party is not None:
                found[pid] = party, nanoseconds / 1e9
    return found


def _look(root: int) -> None:
    before, looked_on = _read_waited(root), time.monotonic()
    with tempfile.TemporaryFile(buffering=0) as file:
        while os.getppid() == root:
            due_on = time.monotonic() + _LOOK
            time.sleep(_LOOK)
            file.write(b"a few bytes")
            os.fsync(file.fileno())
            on, now, waited = time.monotonic(), _read_waited(root), [0.0, 0.0, 0.0]
            for pid, (party, seconds) in now.items():
                grown = seconds - before[pid][1] if pid in before else 0.0
                waited[party] = max(waited[party], min(grown, on - looked_on))
            print(on, on - due_on, *waited, flush=True)
            before, looked_on = now, on


if __name__ == "__main__":
    with suppress(BrokenPipeError, KeyboardInterrupt):
        _look(int(sys.argv[1]))
