"""What one client's flood costs its neighbours (T34, T38 to T40).

    python -m bench.neighbours [FLOOD ...] [--rounds 1] [--seconds 6]

An honest client exchanges 100 times a second, at random moments, while a flood goes to the same
service; and then while as many requests a second go to a bare aiohttp process beside it. So the
machine is as busy in both runs. The p99 of the honest client must not be more than twice as long,
or than 10 ms if that is more, and none of its requests may fail.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from testbed.keys import add_keys

from bench.floods import FLOODS, set_stage
from bench.installation import cpu_seconds, database_of, running_service
from bench.long_denylist import fill
from bench.throughput import ROOT, handlers, write_requests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.processes import ServiceProcess

    from bench.floods import Flood, Stage

_RATE: Final = 100.0  # exchanges of the honest client a second
_CONNECTIONS: Final = 16
_KEYS: Final = 200
_ENTRIES: Final = 10_000  # in the denylist that newcomers fetch
_MOST_RATIO: Final = 2.0
_ENOUGH_MS: Final = 10.0
_LEAD_SECONDS: Final = 1.5  # of the flood, before the honest client begins


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What the honest client saw beside a flood, in milliseconds, and what the flood did.

    `cost`: microseconds of processor time of the service for each request of the flood.
    """

    p50: float
    p99: float
    longest: float
    failed: int
    flood_rate: float
    flood_statuses: dict[str, int]
    cost: float


def _start_load(
    port: int, requests: Path, *, rate: float, seconds: float, connections: int, poisson: bool
) -> subprocess.Popen[str]:
    options = ["--rate", str(rate), "--seconds", str(seconds), "--connections", str(connections)]
    options += ["--announce", *(["--poisson"] if poisson else [])]
    command = [sys.executable, "-m", "bench.load", "127.0.0.1", str(port), str(requests), *options]
    load = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if load.stdout is not None:
        load.stdout.readline()  # its connections have been made
    return load


class Neighbourhood:
    """A service with two workers, an honest client of it, and a bare process beside it."""

    def __init__(
        self, service: ServiceProcess, bare_port: int, folder: Path, honest: Path, seconds: float
    ) -> None:
        self._service = service
        self._bare_port = bare_port
        self._folder = folder
        self._honest = honest
        self._seconds = seconds

    def compare(self, name: str, flood: Flood, stage: Stage) -> tuple[Beside, Beside]:
        """Return what the honest client saw beside a flood of the service, and of the other."""
        requests = self._folder / name
        requests.write_bytes(b"\0".join(flood.build(stage)))
        flooded = self._run(self._service.port, requests, flood.rate, flood.connections)
        rate = max(1.0, flooded.flood_rate)
        return flooded, self._run(self._bare_port, requests, rate, flood.connections)

    def _run(self, port: int, requests: Path, rate: float, connections: int) -> Beside:
        flood = _start_load(
            port,
            requests,
            rate=rate,
            seconds=self._seconds + _LEAD_SECONDS,
            connections=connections,
            poisson=False,
        )
        time.sleep(_LEAD_SECONDS)
        used = cpu_seconds(self._service.pid)
        honest = _start_load(
            self._service.port,
            self._honest,
            rate=_RATE,
            seconds=self._seconds,
            connections=_CONNECTIONS,
            poisson=True,
        )
        seen = json.loads(honest.communicate()[0])
        used = cpu_seconds(self._service.pid) - used
        sent = json.loads(flood.communicate()[0])
        failed = sum(count for status, count in seen["statuses"].items() if status != "200")
        return Beside(
            p50=seen["p50"],
            p99=seen["p99"],
            longest=seen["max"],
            failed=failed,
            flood_rate=sent["per_second"],
            flood_statuses=sent["statuses"],
            cost=1e6 * used / max(1.0, self._seconds * sent["per_second"]),
        )


def _judge(name: str, pairs: Sequence[tuple[Beside, Beside]]) -> bool:
    """Print the runs beside one flood; return whether the promise was kept."""
    for flooded, bare in pairs:
        print(
            f"{name:<28} {flooded.flood_rate:>6.0f}/s {flooded.cost:>6.0f} us  "
            f"p50 {flooded.p50:>7.2f} ({bare.p50:>6.2f})  p99 {flooded.p99:>8.2f} "
            f"({bare.p99:>7.2f})  max {flooded.longest:>7.1f} ({bare.longest:>6.1f}) ms  "
            f"failed {flooded.failed} ({bare.failed})  {flooded.flood_statuses}  "
            f"load {os.getloadavg()[0]:.1f}",
            flush=True,
        )
    during = statistics.median(flooded.p99 for flooded, _ in pairs)
    beside = statistics.median(bare.p99 for _, bare in pairs)
    kept = during <= max(_MOST_RATIO * beside, _ENOUGH_MS)
    kept = kept and not any(flooded.failed for flooded, _ in pairs)
    if len(pairs) > 1 or not kept:
        verdict = "kept" if kept else "NOT KEPT"
        print(f"{name:<28} p99 {during:.2f} to {beside:.2f} ms: {during / beside:.2f}, {verdict}")
    return kept


def measure(names: Sequence[str], *, rounds: int, seconds: float) -> list[str]:
    """Measure beside each flood; return the names of those for which the promise was not kept."""
    with (
        tempfile.TemporaryDirectory(prefix="tokensvc-bench-") as name,
        handlers() as bare_port,
        running_service(2) as service,
        database_of(service) as (url, _),
    ):
        honest = write_requests(Path(name) / "honest", "/v1/token", add_keys(url, _KEYS))
        (limited_key,) = add_keys(url, 1, per_minute=1)
        stage = set_stage(service.url, add_keys(url, 3), limited_key)
        neighbourhood = Neighbourhood(service, bare_port, Path(name), honest, seconds)
        failed = []
        for flood in (name for name in FLOODS if name in names):
            if flood == "newcomers":
                asyncio.run(fill(url, _ENTRIES))
            pairs = [neighbourhood.compare(flood, FLOODS[flood], stage) for _ in range(rounds)]
            if not _judge(flood, pairs):
                failed.append(flood)
    return failed


def main() -> int:
    """Measure and print; return how many promises were not kept."""
    parser = argparse.ArgumentParser(prog="python -m bench.neighbours")
    parser.add_argument("floods", nargs="*", choices=[*FLOODS, []], help="all if none is named")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=6)
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print("in brackets: while the flood goes to a bare process, at the same rate")
    failed = measure(options.floods or list(FLOODS), rounds=options.rounds, seconds=options.seconds)
    print(f"not kept: {failed or 'none'}; load average {os.getloadavg()[0]:.1f}")
    return min(1, len(failed))


if __name__ == "__main__":
    sys.exit(main())
