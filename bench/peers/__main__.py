"""Exchanges of ours beside other issuers of tokens, in one run and by one script.

    python -m bench.peers [--connections 64] [--rounds 5] [--seconds 3] [--only NAME ...]

A peer that cannot be had here is left out, and the report says so. Only the exchange of ours and
the counter in Redis look at limits, and only ours is durable. Peers keep their clients in memory.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from testbed.processes import ROOT

from bench.contest import hold_contest, warm_up
from bench.contest_report import build_json, build_ratios, build_table
from bench.contestants import BEHIND_TLS, CONTESTANTS, EXCHANGE, SIGN
from bench.machine import describe_machine, describe_quiet
from bench.peers import dex, keycloak, node_oidc, redis_counter
from bench.peers.program import MissingPeerError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from bench.contest import Contestant

_OURS: Final = (SIGN, EXCHANGE, BEHIND_TLS)
_PEERS: Final[dict[str, Callable[[Path], AbstractContextManager[Contestant]]]] = {
    redis_counter.NAME: redis_counter.open_redis,
    dex.NAME: dex.open_dex,
    node_oidc.NAME: node_oidc.open_node_oidc,
    keycloak.NAME: keycloak.open_keycloak,
}
_WARM: Final = 20_000  # requests, so that what compiles itself while it runs has done so


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure and print; return the figures."""
    figures: dict[str, Any] = {"machine": describe_machine()}
    print("\n".join(f"{name}: {value}" for name, value in figures["machine"].items()))
    print(f"{options.rounds} rounds of {options.seconds:g} s each;")
    print("service, database, both: milliseconds of processor time for 1,000 requests\n")
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="tokensvc-bench-")))
        contestants = [
            opened.enter_context(CONTESTANTS[name](folder, options.keys)) for name in _OURS
        ]
        for name in options.only:
            try:
                contestants.append(opened.enter_context(_PEERS[name](folder)))
            except MissingPeerError as error:
                print(f"NOT MEASURED: {name}: {error}", flush=True)
        for contestant in contestants:
            warm_up(contestant, options.warm)
        turns = hold_contest(
            contestants,
            connections=options.connections,
            rounds=options.rounds,
            seconds=options.seconds,
        )
    figures["turns"] = build_json(turns)
    print(build_table(f"{options.connections} connections", turns), end="\n\n")
    others = [name for name in turns if name != EXCHANGE]
    print(build_ratios(turns, [(EXCHANGE, name) for name in others]), end="\n\n")
    used = statistics.median(turn.others for seen in turns.values() for turn in seen)
    quiet = figures["quiet"] = describe_quiet(used)
    print(quiet)
    return figures


def main() -> int:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--keys", type=int, default=20_000)
    parser.add_argument("--warm", type=int, default=_WARM, help="requests before the first round")
    parser.add_argument("--only", nargs="*", choices=list(_PEERS), default=list(_PEERS))
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench-peers.json")
    options = parser.parse_args()
    figures = measure(options)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(figures, indent=2))
    print(f"written to {options.json}")
    wrong = any(turn["wrong"] for turns in figures["turns"].values() for turn in turns)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
