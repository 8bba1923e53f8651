"""Is a revocation that was acknowledged ever lost when Postgres fails over?

    python -m bench.failover [--rounds 20]          asynchronous standby: what it lacked is lost,
                                                    and one of two processes survives and heals
    python -m bench.failover --sync [--rounds 20]   synchronous standby: only Postgres survives

What a round is, `testbed.failover` says. Every round is printed; a bad one makes the exit code 1.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

from testbed.cluster import can_replicate
from testbed.failover import Round, play
from testbed.failover_stage import open_stage

from tokensvc.logs.configuration import configure_logs


def _show(number: int, seen: Round) -> None:
    times = ", ".join(f"{what} {seconds:.2f} s" for what, seconds in seen.times.items())
    what = "; ".join(seen.faults) or "good"
    print(f"round {number}: {what}; Postgres had lost {seen.lost} keys; {times}", flush=True)


def _summarise(rounds: list[Round], *, synchronous: bool) -> None:
    good = sum(not seen.faults for seen in rounds)
    acknowledged = sum(seen.acknowledged for seen in rounds)
    lost = sum(seen.lost for seen in rounds)
    worst: dict[str, float] = {}
    for seen in rounds:
        for what, seconds in seen.times.items():
            worst[what] = max(worst.get(what, 0.0), seconds)
    case = "asynchronous, one of two processes survives"
    print(f"{'synchronous, all processes killed' if synchronous else case}:")
    print(f"  {good} of {len(rounds)} rounds good; {acknowledged} revocations acknowledged;")
    print(f"  Postgres alone had lost {lost} revoked keys")
    print("  worst: " + ", ".join(f"{what} {seconds:.2f} s" for what, seconds in worst.items()))


async def _main(count: int, *, synchronous: bool) -> int:
    rounds: list[Round] = []
    async with open_stage(synchronous=synchronous) as stage:
        for number in range(1, count + 1):
            rounds.append(await play(stage, number))
            _show(number, rounds[-1])
    _summarise(rounds, synchronous=synchronous)
    return int(any(seen.faults for seen in rounds))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.failover")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument(
        "--sync",
        action="store_true",
        help="with a synchronous standby, and no process that survives",
    )
    options = parser.parse_args()
    if not can_replicate():
        print("skipped: this Postgres has no pg_basebackup; install postgresql (Debian)")
        return 0
    configure_logs("critical")
    os.nice(10)
    return asyncio.run(_main(options.rounds, synchronous=options.sync))


if __name__ == "__main__":
    sys.exit(main())
