"""The ledger under strain: a million keys, and a flood of keys that nobody has."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from testbed.keys import add_keys
from testbed.processes import ROOT

from bench.installation import database_of, running_service
from bench.sender import at_rate, full_load, median, write_requests
from tokensvc.core.api_key import new_api_key


def scale(many: int = 1_000_000, few: int = 10_000) -> bool:
    """Load both in turns; return whether many keys cost at most a tenth of the throughput."""
    with (
        tempfile.TemporaryDirectory(prefix="tokensvc-bench-") as name,
        running_service() as small,
        running_service() as large,
    ):
        loads = []
        for service, count in ((small, few), (large, many)):
            with database_of(service) as (url, _):
                keys = add_keys(url, count, accounts=max(100, count // 100))
            some = random.sample(keys, min(count, 200_000))
            loads.append((service, write_requests(Path(name) / str(count), "/v1/token", some)))
        for service, requests in loads:
            full_load(service.port, requests, seconds=10)
        pairs = [
            [full_load(service.port, requests, seconds=6) for service, requests in loads]
            for _ in range(5)
        ]
    ratios = sorted(round(large.per_second / small.per_second, 3) for small, large in pairs)
    for count, runs in zip((few, many), zip(*pairs, strict=True), strict=True):
        typical, failed = median(runs), sum(run.failed for run in runs)
        print(f"{count:>9} keys: {typical.per_second:.0f}/s, p99 {typical.p99} ms", end="")
        print(f", {failed} failed")
    print(f"ratio of pairs {ratios}, median {ratios[2]}")
    return ratios[2] >= 0.9


def flood(rate: int = 5000, honest: int = 500, connections: int = 200) -> bool:
    """Flood it; return whether honest requests take at most twice as long (p99)."""
    with (
        running_service(2) as service,
        database_of(service) as (url, _),
        tempfile.TemporaryDirectory(prefix="tokensvc-bench-") as name,
    ):
        unknown = [new_api_key().text for _ in range(100_000)]
        good = write_requests(Path(name) / "good", "/v1/token", add_keys(url, 1000))
        bad = write_requests(Path(name) / "bad", "/v1/token", unknown)
        at_rate(service.port, good, rate=honest, seconds=6)  # both workers know every key now
        quiet = [at_rate(service.port, good, rate=honest, seconds=6) for _ in range(3)]
        options = ["--rate", str(rate), "--seconds", "30", "--connections", str(connections)]
        target = ["127.0.0.1", str(service.port), str(bad)]
        with subprocess.Popen(
            [sys.executable, "-m", "bench.load", *target, *options],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        ) as attacker:
            time.sleep(2)
            loud = [at_rate(service.port, good, rate=honest, seconds=6) for _ in range(3)]
            output, _ = attacker.communicate()
    before, during = (sorted(run.p99 for run in runs)[1] for runs in (quiet, loud))
    failed = sum(run.failed for run in loud)
    print(f"attacker: {output.strip()}")
    print(f"honest, {honest}/s: p99 {before} ms alone, {during} ms beside the flood;", end=" ")
    print(f"failed {failed}")
    return during <= 2 * before
