"""Exchanges per second, and what they cost, beside a handler that only signs, in the same run.

    python -m bench.throughput [--json FILE] [--pairs 5] [--keys 10000]

Full load comes from wrk, or from `bench.load` where wrk is absent; fixed rates always come from
`bench.load`. All that a service has in production is on: limits, logs in a file, metrics, usage.
Client, service and Postgres share the cores of the machine.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from testbed.keys import add_keys
from testbed.ports import find_free_port

from bench.installation import cpu_seconds, database_of, memory_bytes, running_service

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.processes import ServiceProcess

ROOT: Final = Path(__file__).parent.parent
CONNECTIONS: Final = 256
_SECONDS: Final = 4
_MOST_REQUESTS: Final = 20_000
_RATED_SECONDS: Final = 8
_FORM: Final = "application/x-www-form-urlencoded"
_BODY: Final = "audience=api"
_SCRIPT: Final = """
local requests, last = {}, 0
for text in io.open("%s", "rb"):read("*a"):gmatch("[^%%z]+") do requests[#requests + 1] = text end
math.randomseed(os.time())
request = function() return requests[math.random(#requests)] end
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one measurement saw; latencies in milliseconds."""

    per_second: float
    p50: float
    p95: float
    p99: float
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What an exchange took, in microseconds; `batch`: how many were judged at once."""

    postgres: float
    service: float
    batch: float


def write_requests(path: Path, target: str, keys: Sequence[str]) -> Path:
    """Write one request per key to a file, as `bench.load` reads them."""
    head = f"POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    head += f"Content-Type: {_FORM}\r\nContent-Length: {len(_BODY)}\r\n"
    path.write_bytes(
        b"\0".join(f"{head}Authorization: Bearer {key}\r\n\r\n{_BODY}".encode() for key in keys)
    )
    return path


_COSTS: Final = {
    "postgres": "Postgres, us per exchange",
    "service": "service, us per exchange",
    "batch": "exchanges per batch",
}


def full_load(
    port: int, requests: Path, *, seconds: int = _SECONDS, connections: int = CONNECTIONS
) -> Run:
    """Send as much as is answered."""
    if shutil.which("wrk") is None:
        return at_rate(port, requests, rate=0, seconds=seconds, connections=connections)
    script = requests.with_suffix(".lua")
    script.write_text(_SCRIPT % requests)
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        "--latency",
        "-s",
        str(script),
        f"http://127.0.0.1:{port}",
    ]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    per_second = float(re.findall(r"Requests/sec:\s+([\d.]+)", output)[0])
    shares = {
        share: float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60_000}[unit]
        for share, number, unit in _LATENCY.findall(output)
    }
    failed = sum(int(number) for number in re.findall(r"Non-2xx or 3xx responses: (\d+)", output))
    return Run(
        per_second=per_second, p50=shares["50"], p95=shares["90"], p99=shares["99"], failed=failed
    )


_MILLISECONDS: Final = {"us": 0.001, "ms": 1, "s": 1000, "m": 60_000}
_LATENCY: Final = re.compile(r"^\s+(\d+)%\s+([\d.]+)(us|ms|s|m)$", re.MULTILINE)


def at_rate(
    port: int,
    requests: Path,
    *,
    rate: float,
    seconds: float = _RATED_SECONDS,
    connections: int = 64,
) -> Run:
    """Send at a fixed rate."""
    options = ["--rate", str(rate), "--seconds", str(seconds), "--connections", str(connections)]
    command = [sys.executable, "-m", "bench.load", "127.0.0.1", str(port), str(requests), *options]
    seen = json.loads(
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    )
    del seen["max"]
    failed = sum(count for status, count in seen.pop("statuses").items() if status != "200")
    return Run(**seen, failed=failed)


@contextmanager
def handlers() -> Iterator[int]:
    """Run what an exchange is compared with; yields its port."""
    port = find_free_port()
    with subprocess.Popen([sys.executable, "-m", "bench.handlers", str(port)], cwd=ROOT) as child:
        time.sleep(1.5)
        try:
            yield port
        finally:
            child.kill()


def measure_cost(
    process: ServiceProcess, postgres: int, requests: Path, *, seconds: int = _SECONDS
) -> tuple[Run, Cost]:
    """Measure full load together with what it takes."""
    before = cpu_seconds(postgres), cpu_seconds(process.pid), _batches(process.url)
    run = full_load(process.port, requests, seconds=seconds)
    batches, exchanges = (
        after - earlier for after, earlier in zip(_batches(process.url), before[2], strict=True)
    )
    of_postgres = 1e6 * (cpu_seconds(postgres) - before[0]) / exchanges
    of_all = (
        1e6 * (cpu_seconds(process.pid) - before[1]) / exchanges
    )  # the embedded Postgres is a child of the service
    return run, Cost(postgres=of_postgres, service=of_all - of_postgres, batch=exchanges / batches)


def _batches(url: str) -> tuple[float, float]:
    with urllib.request.urlopen(f"{url}/metrics") as answer:
        text = answer.read().decode()
    count, total = (
        re.findall(rf"^tokensvc_ledger_batch_size_{name} (\S+)$", text, re.MULTILINE)
        for name in ("count", "sum")
    )
    return sum(map(float, count)), sum(map(float, total))


def measure(pairs: int, keys: int, say: Printer) -> dict[str, object]:
    """Measure everything; return the figures."""
    figures: dict[str, object] = {
        "machine": describe_machine(),
        "connections": CONNECTIONS,
        "keys": keys,
    }
    with tempfile.TemporaryDirectory(prefix="tokensvc-bench-") as name, handlers() as port:
        folder = Path(name)
        bare, sign = (
            write_requests(folder / target.strip("/"), target, ["tsk-" + "x" * 32])
            for target in ("/bare", "/sign")
        )
        figures["bare handler"] = say.run("bare handler", full_load(port, bare))
        with running_service() as one, database_of(one) as (url, postgres):
            exchange = _warm(one, url, keys, folder)
            seen = [
                (full_load(port, sign), *measure_cost(one, postgres, exchange))
                for _ in range(pairs)
            ]
            signed, exchanged = (
                median([run for run, _, _ in seen]),
                median([run for _, run, _ in seen]),
            )
            figures["sign-only handler"] = say.run("sign-only handler", signed)
            figures["exchange, 1 worker"] = say.run("exchange, 1 worker", exchanged)
            ratios = figures["ratios"] = [
                round(run.per_second / base.per_second, 3) for base, run, _ in seen
            ]
            figures["ratio"] = say.line(
                f"ratio to sign-only, of {ratios}", statistics.median(ratios)
            )
            for field, what in _COSTS.items():
                figures[what] = say.line(
                    what, statistics.median(getattr(cost, field) for _, _, cost in seen)
                )
            figures["sign-only at 70 %"] = say.run(
                "sign-only at 70 % load", at_rate(port, sign, rate=0.7 * signed.per_second)
            )
            figures["exchange at 70 %"] = say.run(
                "exchange at 70 % load",
                at_rate(one.port, exchange, rate=0.7 * exchanged.per_second),
            )
            figures["worker MB"] = say.line("memory of the worker, MB", memory_bytes(one.pid) / 1e6)
        with running_service(2) as two, database_of(two) as (url, _):
            exchange = _warm(two, url, keys, folder)
            figures["exchange, 2 workers"] = say.run(
                "exchange, 2 workers", median([full_load(two.port, exchange) for _ in range(3)])
            )
    return figures


def _warm(process: ServiceProcess, url: str, keys: int, folder: Path) -> Path:
    """Make keys, write requests with some of them, and send them once to warm everything up."""
    texts = add_keys(url, keys)
    requests = write_requests(
        folder / "exchange", "/v1/token", random.sample(texts, min(len(texts), _MOST_REQUESTS))
    )
    full_load(process.port, requests)
    return requests


class Printer:
    """Prints figures as they come."""

    def run(self, what: str, run: Run) -> dict[str, float]:
        """Print a run, and return it."""
        failed = f"   {run.failed} FAILED" if run.failed else ""
        times = f"p50 {run.p50:>7.2f}   p95 {run.p95:>7.2f}   p99 {run.p99:>7.2f} ms"
        print(f"{what:<44} {run.per_second:>8.0f}/s   {times}{failed}", flush=True)
        return asdict(run)

    def line(self, what: str, value: float) -> float:
        """Print a number, and return it."""
        print(f"{what:<44} {value:>8.2f}", flush=True)
        return value


def median(runs: Sequence[Run]) -> Run:
    """Return the run in the middle, by requests per second."""
    return sorted(runs, key=lambda run: run.per_second)[len(runs) // 2]


def describe_machine() -> dict[str, str]:
    """Return hardware and versions."""
    cpu = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    packages = {
        name: version(name) for name in ("aiohttp", "uvloop", "asyncpg", "PyJWT", "cryptography")
    }
    return {
        "processor": f"{len(cpu)} x {cpu[0] if cpu else platform.machine()}",
        "python": platform.python_version(),
        **packages,
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.throughput", description="Measure exchanges per second."
    )
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench.json")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--keys", type=int, default=10_000)
    options = parser.parse_args()
    print("  ".join(f"{name} {value}" for name, value in describe_machine().items()))
    load = "wrk (for p95 it tells p90)" if shutil.which("wrk") else "bench.load"
    print(f"load by {load}, {CONNECTIONS} connections, {options.keys} keys\n")
    figures = measure(options.pairs, options.keys, Printer())
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(figures, indent=2))
    print(f"\nwritten to {options.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
