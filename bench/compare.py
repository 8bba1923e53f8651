"""Does this tree cost more than another one? Processor time, of both in turn.

    python -m bench.compare BASE [--rounds 7] [--seconds 4] [--connections 64]

BASE is the folder of another checkout, in which `make setup` was run. Both serve at the same time,
and the load goes to one and then to the other, so what else the machine does meets both alike. What
counts is the ratio of each pair; its median is told with the whole spread. A verification is
measured in short processes that alternate in the same way.

Processor time of a service is that of all of its processes; Postgres is counted apart.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from testbed.processes import ROOT

from bench.installation import cpu_seconds, running_service
from bench.sender import full_load, write_requests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.processes import ServiceProcess

_KEYS: Final = 1000
_ADD_KEYS: Final = """
import sys
from testbed.keys import add_keys

print(*add_keys(sys.argv[1], int(sys.argv[2])))
"""
_VERIFY: Final = """
import time
from tokensvc.verify.testing import FakeIssuer

issuer = FakeIssuer()
issuer.revoke(jti="another")
tokens = [issuer.token() for _ in range(1700)]
verifier = issuer.verifier()

def cost(tokens):
    began = time.process_time()
    for token in tokens:
        verifier.verify(token)
    return 1e6 * (time.process_time() - began) / len(tokens)

cost(tokens[:200])
print(cost(tokens[200:]), cost(tokens[1200:] * 20))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A checkout, and the service that was started from it."""

    folder: Path
    process: ServiceProcess
    requests: Path

    def measure_exchanges(self, seconds: int, connections: int) -> dict[str, float]:
        """Return what an exchange takes under full load, in microseconds of processor time."""
        before = cpu_seconds(self.process.pid), cpu_seconds(self.process.postmaster)
        run = full_load(self.process.port, self.requests, seconds=seconds, connections=connections)
        if run.failed:
            raise SystemExit(f"{self.folder}: {run.failed} exchanges failed")
        each = 1e6 / (run.per_second * seconds)
        # The embedded Postgres is a child of the service.
        both = (cpu_seconds(self.process.pid) - before[0]) * each
        postgres = (cpu_seconds(self.process.postmaster) - before[1]) * each
        return {
            "an exchange, service": both - postgres,
            "an exchange, Postgres": postgres,
            "an exchange, both": both,
        }

    def measure_verifications(self) -> dict[str, float]:
        """Return what a verification takes, in microseconds of processor time."""
        first, again = map(float, run_python(self.folder, _VERIFY).split())
        return {"a verification, first": first, "a verification, again": again}


def run_python(folder: Path, code: str, *arguments: str) -> str:
    """Return what the Python of a checkout prints."""
    return subprocess.run(
        [folder / ".venv" / "bin" / "python", "-c", code, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def open_tree(folder: Path, stack: ExitStack) -> Tree:
    """Start the service of a checkout, and make keys as that checkout stores them."""
    command = [str(folder / ".venv" / "bin" / "tokensvc")]
    process = stack.enter_context(running_service(command=command))
    keys = run_python(folder, _ADD_KEYS, process.database_url, str(_KEYS)).split()
    name = stack.enter_context(tempfile.TemporaryDirectory(prefix="tokensvc-bench-"))
    return Tree(
        folder=folder,
        process=process,
        requests=write_requests(Path(name) / "requests", "/v1/token", keys),
    )


def measure(
    trees: tuple[Tree, Tree], rounds: int, seconds: int, connections: int
) -> dict[str, list[tuple[float, float]]]:
    """Return what each thing took in each round: in the first tree, and in the second."""
    for tree in trees:
        tree.measure_exchanges(2, connections)  # this only warms up
    pairs: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for number in range(rounds):
        seen = {}
        for tree in trees if number % 2 else reversed(trees):
            seen[tree.folder] = (
                tree.measure_exchanges(seconds, connections) | tree.measure_verifications()
            )
        base, here = (seen[tree.folder] for tree in trees)
        for what, cost in base.items():
            pairs[what].append((cost, here[what]))
    return pairs


def report(pairs: dict[str, list[tuple[float, float]]]) -> Iterator[str]:
    """Yield the lines of the table."""
    width = max(map(len, pairs))
    heads = ("base, us", "here, us", "ratio", "from", "to")
    yield f"{'median of processor time':{width}}  " + "  ".join(f"{head:>8}" for head in heads)
    for what, each in pairs.items():
        ratios = sorted(here / base for base, here in each)
        figures = [statistics.median(side) for side in zip(*each, strict=True)]
        figures += [statistics.median(ratios), ratios[0], ratios[-1]]
        digits = (1, 1, 3, 3, 3)
        cells = (f"{figure:8.{most}f}" for figure, most in zip(figures, digits, strict=True))
        yield f"{what:{width}}  " + "  ".join(cells)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.compare", description="Compare what two checkouts cost."
    )
    parser.add_argument("base", type=Path, help="the folder of the other checkout")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--connections", type=int, default=64)
    options = parser.parse_args()
    base = options.base.resolve()
    if not (base / ".venv" / "bin" / "tokensvc").exists():
        parser.error(f"there is no service in {base}: run `make setup` there")
    print(f"base {base}, here {ROOT}; load average {os.getloadavg()[0]:.1f}", flush=True)
    with ExitStack() as stack:
        trees = open_tree(base, stack), open_tree(ROOT, stack)
        pairs = measure(trees, options.rounds, options.seconds, options.connections)
    print(*report(pairs), sep="\n")
    print(f"{options.rounds} pairs; load average {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
