"""A contest: contestants answer a full load in turn, and what a request costs is compared.

Every round lets each of them have one turn, every second round in reverse order, so that whatever
else the machine does meanwhile harms all of them alike. Ratios are taken within a round. Processor
time counts more than requests per second, because the sender shares the cores with the contestants.
"""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from bench.installation import cpu_seconds_of, list_tree
from bench.sender import full_load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bench.sender import Run

_WARM_UP_CONNECTIONS: Final = 64
_ACCEPTED: Final = 0.05  # of what must be refused
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """What is measured: where it listens, and what is sent to it.

    `service` and `database` are process ids; their children count as well. A database may be a
    child of the service, and is not counted twice. `refuses`: whether every answer must be a
    refusal.
    """

    name: str
    port: int
    requests: Path
    service: tuple[int, ...]
    database: tuple[int, ...] = ()
    refuses: bool = False
    tls: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One turn: what was seen, and the microseconds of processor time for each request.

    A microsecond for each is a millisecond for 1,000. `others`: how many cores were used by
    processes that had nothing to do with the turn. `wrong`: answers that were not as they must be.
    """

    run: Run
    service: float
    database: float
    others: float
    wrong: int

    @property
    def cost(self) -> float:
        """The microseconds of service and database together."""
        return self.service + self.database

    @property
    def per_second(self) -> float:
        """The answers per second."""
        return self.run.per_second


class Figure(NamedTuple):
    """The middle of some values, the lowest and the highest."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Figure:
        """Return the figure of at least one value."""
        ordered = sorted(values)
        return cls(statistics.median(ordered), ordered[0], ordered[-1])


def hold_contest(
    contestants: Sequence[Contestant], *, connections: int, rounds: int, seconds: float
) -> dict[str, list[Turn]]:
    """Return the turns of each contestant, in the order of the rounds."""
    turns: dict[str, list[Turn]] = {contestant.name: [] for contestant in contestants}
    for number in range(rounds):
        for contestant in contestants if number % 2 == 0 else reversed(contestants):
            turn = take_turn(contestant, connections=connections, seconds=seconds)
            turns[contestant.name].append(turn)
    return turns


def take_turn(contestant: Contestant, *, connections: int, seconds: float) -> Turn:
    """Put a contestant under full load."""
    databases = set[int]().union(*map(list_tree, contestant.database))
    services = set[int]().union(*map(list_tree, contestant.service)) - databases
    clocks: Sequence[Callable[[], float]] = (
        lambda: cpu_seconds_of(services),
        lambda: cpu_seconds_of(databases),
        _busy_seconds,
        time.monotonic,
    )
    before = [read() for read in clocks]
    run = full_load(
        contestant.port,
        contestant.requests,
        seconds=seconds,
        connections=connections,
        tls=contestant.tls,
    )
    service, database, busy, lasted = (
        read() - earlier for read, earlier in zip(clocks, before, strict=True)
    )
    return Turn(
        run=run,
        service=1e6 * service / max(1, run.answers),
        database=1e6 * database / max(1, run.answers),
        others=max(0.0, (busy - service - database) / lasted - run.sender),
        wrong=_count_wrong(run, refuses=contestant.refuses),
    )


def _count_wrong(run: Run, *, refuses: bool) -> int:
    if not refuses:
        return run.failed
    accepted = run.answers - run.failed  # a limit lets a few requests pass in each minute
    return accepted if accepted > _ACCEPTED * run.answers else 0


def warm_up(contestant: Contestant, requests: int, *, seconds: float = 2.0) -> None:
    """Let it answer at least so many requests. Raises RuntimeError if it answers none."""
    while requests > 0:
        turn = take_turn(contestant, connections=_WARM_UP_CONNECTIONS, seconds=seconds)
        if turn.run.answers == 0:
            raise RuntimeError(f"{contestant.name} does not answer")
        requests -= turn.run.answers


def list_ratios(
    turns: Mapping[str, Sequence[Turn]], name: str, other: str, read: Callable[[Turn], float]
) -> list[float]:
    """Return what `read` says of one contestant by what it says of the other, round by round."""
    pairs = zip(turns[name], turns[other], strict=True)
    return [read(one) / read(another) for one, another in pairs if read(another) > 0]


def _busy_seconds() -> float:
    """Return how long the cores of this machine were busy since it started."""
    user, nice, system, _idle, _wait, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().split(maxsplit=9)[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / _TICKS
