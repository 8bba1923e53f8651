"""What a request costs: how long it takes, and the processor time of the service and of Postgres.

Processor time hardly depends on what else the machine does, so it stands beside each duration.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from testbed.processes import ServiceProcess


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a request takes, in seconds. `cold`: the very first time."""

    cold: float
    median: float
    p95: float
    service: float
    postgres: float

    def __str__(self) -> str:
        """Return the figures in the order of HEADER, in milliseconds."""
        times = [self.cold, self.median, self.p95]
        shares = [self.service, self.postgres]
        return " |".join(
            "".join(f"{1000 * each:7.1f}" for each in part) for part in (times, shares)
        )


HEADER: Final = "in ms: the first time, median, p95 | processor time of the service, of Postgres"


def measure(process: ServiceProcess, ask: Callable[[], float], count: int) -> Cost:
    """Ask `count` times after a first time. `ask` returns how long it took, in seconds."""
    cold = ask()
    before = _read_shares(process)
    times = sorted(ask() for _ in range(count))
    service, postgres = (
        (after - earlier) / count
        for after, earlier in zip(_read_shares(process), before, strict=True)
    )
    return Cost(
        cold=cold,
        median=times[count // 2],
        p95=times[count * 95 // 100],
        service=service,
        postgres=postgres,
    )


def _read_shares(process: ServiceProcess) -> tuple[float, float]:
    return _read_cpu(process.pid), sum(map(_read_cpu, _list_backends(process)))


def _read_cpu(process_id: int) -> float:
    """Return the processor time of all threads of a process, to the microsecond."""
    threads = Path(f"/proc/{process_id}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def _list_backends(process: ServiceProcess) -> Iterator[int]:
    """Return the processes of Postgres that serve connections, and none that lives shortly."""
    postmaster = process.postmaster
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    for child in children:
        try:
            title = Path(f"/proc/{child}/cmdline").read_text()
        except FileNotFoundError:
            continue
        if "tokensvc" in title:
            yield int(child)
