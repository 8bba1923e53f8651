"""What one client's flood costs its neighbours (T34, T38 to T40).

    python -m bench.neighbours [--all | FLOOD ...] [--rounds 1] [--seconds 4]

An honest client exchanges 100 times a second, at random moments, while a flood goes to the same
service; and then while as many requests a second go to a bare aiohttp process beside it. So the
machine is as busy in both runs. The p99 of the honest client must not be more than twice as long,
or than 10 ms if that is more, and none of its requests may fail. A request that is refused must not
cost more than one that gets a token, at the same rate and from as many clients.
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
from testbed.processes import ROOT

from bench.contestants import handlers
from bench.floods import FLOODS, TOKENS, set_stage
from bench.installation import cpu_seconds, database_of, running_service
from bench.long_denylist import fill
from bench.sender import write_requests

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
_REFUSALS: Final = frozenset(
    {"over-limit-4000", "junk-keys-4000", "unknown-keys-4000", "wrong-scopes-4000"}
)
_WORST: Final = (
    TOKENS,
    *_REFUSALS,
    "refusals-4000",
    "unknown-keys-5000",
    "receipts",
    "revoke-unknown-keys",
    "revoke-dead-key",
    "introspect-unknown-callers",
    "over-limit",
    "narrowing",
    "jwks",
    "metrics",
    "newcomers",
)
_LEAD_SECONDS: Final = 1.5  # of the flood, before the honest client begins


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What the honest client saw beside a flood, in milliseconds, and what the flood did.

    `service`, `postgres`: microseconds of processor time for each request, whoever sent it.
    """

    p50: float
    p99: float
    longest: float
    failed: int
    flood_rate: float
    flood_statuses: dict[str, int]
    service: float
    postgres: float


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbourhood:
    """A service with two workers, an honest client of it, and a bare process beside it.

    `postgres`: the process id of its Postgres, a child of the service. `honest`: what the client
    sends. `folder`: where floods are written.
    """

    service: ServiceProcess
    postgres: int
    bare_port: int
    folder: Path
    honest: Path
    stage: Stage
    seconds: float

    def compare(self, name: str, flood: Flood) -> tuple[Beside, Beside]:
        """Return what the honest client saw beside a flood of the service, and of the other."""
        requests = self.folder / name
        requests.write_bytes(b"\0".join(flood.build(self.stage)))
        flooded = self._run(self.service.port, requests, flood.rate, flood.connections)
        rate = max(1.0, flooded.flood_rate)
        return flooded, self._run(self.bare_port, requests, rate, flood.connections)

    def _run(self, port: int, requests: Path, rate: float, connections: int) -> Beside:
        flood = _start_load(
            port,
            requests,
            rate=rate,
            seconds=self.seconds + _LEAD_SECONDS,
            connections=connections,
            poisson=False,
        )
        time.sleep(_LEAD_SECONDS)
        before = self._read_costs()
        honest = _start_load(
            self.service.port,
            self.honest,
            rate=_RATE,
            seconds=self.seconds,
            connections=_CONNECTIONS,
            poisson=True,
        )
        seen = json.loads(honest.communicate()[0])
        of_all, of_postgres = (
            1e6 * (now - then) for now, then in zip(self._read_costs(), before, strict=True)
        )
        sent = json.loads(flood.communicate()[0])
        requests_sent = self.seconds * (_RATE + sent["per_second"])
        failed = sum(count for status, count in seen["statuses"].items() if status != "200")
        return Beside(
            p50=seen["p50"],
            p99=seen["p99"],
            longest=seen["max"],
            failed=failed,
            flood_rate=sent["per_second"],
            flood_statuses=sent["statuses"],
            service=(of_all - of_postgres) / requests_sent,
            postgres=of_postgres / requests_sent,
        )

    def _read_costs(self) -> tuple[float, float]:
        return cpu_seconds(self.service.pid), cpu_seconds(self.postgres)


class Table:
    """Prints a row for each flood, and says what was not kept."""

    def __init__(self) -> None:
        self.broken: list[str] = []
        self._token = float("inf")  # what a token costs
        print(f"{'':<27}{'':>7}  us of CPU        p50, p99, max in ms, and beside a bare process")
        print(f"{'flood':<27}{'a second':>9}  service Postgres  {'':<44} failed  answers")

    def add(self, name: str, pairs: Sequence[tuple[Beside, Beside]]) -> None:
        """Print what was seen beside one flood."""
        during, beside = (
            sorted(runs, key=lambda run: run.p99)[len(pairs) // 2]
            for runs in zip(*pairs, strict=True)
        )
        cost = statistics.median(flooded.service + flooded.postgres for flooded, _ in pairs)
        failed = sum(flooded.failed for flooded, _ in pairs)
        broken = []
        if name == TOKENS:
            self._token = cost
        elif name in _REFUSALS and cost > self._token:
            broken.append(f"{cost / self._token:.2f} of a token")
        if during.p99 > max(_MOST_RATIO * beside.p99, _ENOUGH_MS):
            broken.append(f"p99 {during.p99 / beside.p99:.1f} times")
        if failed:
            broken.append("failures")
        print(
            f"{name:<27}{during.flood_rate:>8.0f}  {during.service:>7.0f} {during.postgres:>8.0f}  "
            f"{_times(during)} ({_times(beside)}) {failed:>6}  {during.flood_statuses}  "
            f"{'NOT KEPT: ' + ', '.join(broken) if broken else 'kept'}",
            flush=True,
        )
        self.broken += [name] * bool(broken)


def _times(run: Beside) -> str:
    return f"{run.p50:>6.1f} {run.p99:>6.1f} {run.longest:>6.0f}"


def measure(names: Sequence[str], *, rounds: int, seconds: float) -> list[str]:
    """Measure beside each flood; return the names of those for which the promise was not kept."""
    with (
        tempfile.TemporaryDirectory(prefix="tokensvc-bench-") as name,
        handlers() as (bare_port, _),
        running_service(2) as service,
        database_of(service) as (url, postgres),
    ):
        honest = write_requests(Path(name) / "honest", "/v1/token", add_keys(url, _KEYS))
        (limited_key,) = add_keys(url, 1, per_minute=1)
        neighbourhood = Neighbourhood(
            service=service,
            postgres=postgres,
            bare_port=bare_port,
            folder=Path(name),
            honest=honest,
            stage=set_stage(service.url, add_keys(url, 3), limited_key),
            seconds=seconds,
        )
        table = Table()
        for flood in (name for name in FLOODS if name in names):
            if flood == "newcomers":
                asyncio.run(fill(url, _ENTRIES))
            table.add(flood, [neighbourhood.compare(flood, FLOODS[flood]) for _ in range(rounds)])
    return table.broken


def main() -> int:
    """Measure and print; return how many promises were not kept."""
    parser = argparse.ArgumentParser(prog="python -m bench.neighbours")
    parser.add_argument(
        "floods", nargs="*", choices=[*FLOODS, []], help="the worst if none is named"
    )
    parser.add_argument("--all", action="store_true", help="every flood, not only the worst ones")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=4)
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    floods = options.floods or (list(FLOODS) if options.all else _WORST)
    failed = measure(floods, rounds=options.rounds, seconds=options.seconds)
    print(f"not kept: {failed or 'none'}; load average {os.getloadavg()[0]:.1f}")
    return min(1, len(failed))


if __name__ == "__main__":
    sys.exit(main())
