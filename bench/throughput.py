"""Exchanges per second, and what they cost, beside handlers that do less, in the same run.

    python -m bench.throughput [--connections 16 64 256] [--rounds 5] [--seconds 3]
        [--only NAME ...] [--keys 20000] [--open-seconds 60] [--open-runs 3] [--json FILE]

All that a service has in production is on: limits, logs in a file, metrics, usage. Only refusals
do not come late, so that their cost can be seen. The contestants take turns (`bench.contest`).
Then requests come at random moments, at 70 % of the rate that was measured with 64 connections,
and how long they take is counted from the moment at which each of them was due.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from testbed.processes import ROOT

from bench.contest import hold_contest, warm_up
from bench.contest_report import build_json, build_ratios, build_table
from bench.contestants import (
    BARE,
    BEHIND_TLS,
    CONTESTANTS,
    EXCHANGE,
    LIMITED,
    SIGN,
    TWO_WORKERS,
    UNKNOWN,
)
from bench.installation import memory_bytes
from bench.machine import describe_machine, describe_quiet
from bench.sender import at_rate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bench.contest import Contestant, Turn

_PAIRS: Final = (
    (EXCHANGE, SIGN),
    (EXCHANGE, BARE),
    (TWO_WORKERS, EXCHANGE),
    (BEHIND_TLS, EXCHANGE),
    (LIMITED, EXCHANGE),
    (UNKNOWN, EXCHANGE),
)
_OPEN: Final = (SIGN, EXCHANGE)  # those to which requests are sent at random moments
_OPEN_CONNECTIONS: Final = 64
_OPEN_SHARE: Final = 0.7


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything and print it; return the figures."""
    figures: dict[str, Any] = {"machine": describe_machine(), "keys": options.keys}
    print("\n".join(f"{name}: {value}" for name, value in figures["machine"].items()))
    print(f"{options.keys:,} active keys; {options.rounds} rounds of {options.seconds:g} s each;")
    print("service, database, both: milliseconds of processor time for 1,000 requests\n")
    others: list[float] = []
    with open_contestants(options) as contestants:
        contests = figures["contests"] = {}
        for connections in options.connections:
            turns = hold_contest(
                contestants,
                connections=connections,
                rounds=options.rounds,
                seconds=options.seconds,
            )
            contests[connections] = build_json(turns)
            others += [turn.others for seen in turns.values() for turn in seen]
            print(build_table(f"{connections} connections", turns), end="\n\n")
            print(build_ratios(turns, _PAIRS), end="\n\n", flush=True)
            if connections == _OPEN_CONNECTIONS and options.open_runs:
                figures["open"] = send_at_random(contestants, turns, options)
        for contestant in contestants:
            if contestant.name == EXCHANGE:
                memory = figures["worker MB"] = memory_bytes(contestant.service[0]) / 1e6
                print(f"memory of the one worker: {memory:.1f} MB")
    figures["quiet"] = describe_quiet(statistics.median(others))
    print(figures["quiet"])
    return figures


@contextmanager
def open_contestants(options: argparse.Namespace) -> Iterator[list[Contestant]]:
    """Run those that are wanted, all at once, and warm them up."""
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="tokensvc-bench-")))
        contestants = [
            opened.enter_context(CONTESTANTS[name](folder, options.keys)) for name in options.only
        ]
        for contestant in contestants:
            warm_up(contestant, options.keys if contestant.database else 1)
        yield contestants


def send_at_random(
    contestants: Sequence[Contestant],
    turns: Mapping[str, Sequence[Turn]],
    options: argparse.Namespace,
) -> dict[str, list[dict[str, float]]]:
    """Send at random moments to those of `_OPEN`, in turn; print and return what they took."""
    seen: dict[str, list[dict[str, float]]] = {}
    print(f"open loop, Poisson, {_OPEN_SHARE:.0%} of the rate, {_OPEN_CONNECTIONS} connections:")
    for _ in range(options.open_runs):
        for contestant in contestants:
            if contestant.name not in _OPEN:
                continue
            full = statistics.median(turn.per_second for turn in turns[contestant.name])
            run = at_rate(
                contestant.port,
                contestant.requests,
                rate=_OPEN_SHARE * full,
                seconds=options.open_seconds,
                connections=_OPEN_CONNECTIONS,
                poisson=True,
            )
            seen.setdefault(contestant.name, []).append(asdict(run))
            failed = f", {run.failed} FAILED" if run.failed else ""
            print(
                f"  {contestant.name}: {run.per_second:,.0f} a second for"
                f" {options.open_seconds:g} s; p50 {run.p50:.1f}, p99 {run.p99:.1f},"
                f" longest {run.longest:.0f} ms; the sender used {run.sender:.2f} cores{failed}",
                flush=True,
            )
    return seen


def main() -> int:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.throughput")
    parser.add_argument("--connections", type=int, nargs="+", default=[16, 64, 256])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--keys", type=int, default=20_000)
    parser.add_argument("--only", nargs="+", choices=list(CONTESTANTS), default=list(CONTESTANTS))
    parser.add_argument("--open-seconds", type=float, help="seven times --seconds if not given")
    parser.add_argument("--open-runs", type=int, default=3)
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench.json")
    options = parser.parse_args()
    options.open_seconds = options.open_seconds or 7 * options.seconds
    figures = measure(options)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(figures, indent=2))
    print(f"written to {options.json}")
    wrong = any(
        turn["wrong"]
        for turns in figures["contests"].values()
        for t in turns.values()
        for turn in t
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
