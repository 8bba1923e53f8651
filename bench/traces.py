"""What traces cost: exchanges with none of them traced, one in a hundred, and all.

    python -m bench.traces [--rounds 4] [--keys 2000]

The three services run side by side and are asked in turn, and what they send is taken by a
collector that throws it away. Processor time is compared, because it hardly depends on what else
the machine does.
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from testbed.collector import collecting
from testbed.keys import add_keys

from bench.installation import database_of, running_service
from bench.throughput import full_load, measure_cost, write_requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.processes import ServiceProcess

_SHARES: Final = {"none": None, "one in a hundred": "0.01", "all": "1"}


def build_environment(endpoint: str, share: str | None) -> dict[str, str]:
    """Return the settings of a service that sends a share of its traces, None for none."""
    if share is None:
        return {}
    return {
        "TOKENSVC_TRACES": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": share,
    }


def ask(process: ServiceProcess, postgres: int, requests: Path) -> tuple[float, float]:
    """Return what an exchange takes of the service and of Postgres, in microseconds."""
    _, cost = measure_cost(process, postgres, requests)
    return cost.service, cost.postgres


def measure(rounds: int, keys: int) -> dict[str, list[tuple[float, float]]]:
    """Return what an exchange took in each round, service and Postgres, in microseconds."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tokensvc-bench-")))
        endpoint = stack.enter_context(collecting()).address
        asks: dict[str, Callable[[], tuple[float, float]]] = {}
        for number, (name, share) in enumerate(_SHARES.items()):
            environment = build_environment(endpoint, share)
            process = stack.enter_context(running_service(environment=environment))
            url, postgres = stack.enter_context(database_of(process))
            path = write_requests(folder / str(number), "/v1/token", add_keys(url, keys))
            full_load(process.port, path)

            asks[name] = functools.partial(ask, process, postgres, path)
        seen: dict[str, list[tuple[float, float]]] = {name: [] for name in asks}
        for turn in range(rounds):
            for name in sorted(asks, reverse=bool(turn % 2)):
                seen[name].append(asks[name]())
        return seen


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.traces", description="Measure what traces cost."
    )
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--keys", type=int, default=2000)
    options = parser.parse_args()
    seen = measure(options.rounds, options.keys)
    base = statistics.median(sum(each) for each in seen["none"])
    for name, costs in seen.items():
        service, postgres = (statistics.median(part) for part in zip(*costs, strict=True))
        ratio = statistics.median(sum(each) for each in costs) / base
        print(
            f"traced: {name:<18} service {service:6.1f} us, Postgres {postgres:5.1f} us"
            f"   x{ratio:.2f}"
        )
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
