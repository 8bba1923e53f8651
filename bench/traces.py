"""What traces cost: exchanges of which none is traced, one in a hundred, and all.

    python -m bench.traces [--rounds 4] [--seconds 4] [--keys 2000]

Three services take turns. What they send is taken by a collector that throws it away.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from testbed.collector import collecting
from testbed.keys import add_keys

from bench.contest import Contestant, hold_contest, warm_up
from bench.contest_report import build_ratios, build_table
from bench.installation import running_service
from bench.sender import write_requests

if TYPE_CHECKING:
    from collections.abc import Iterator

NONE: Final = "none traced"
SHARES: Final = {NONE: None, "1 % traced": "0.01", "all traced": "1"}
_CONNECTIONS: Final = 64


@contextmanager
def tracing_service(
    name: str, share: str | None, endpoint: str, folder: Path, keys: int
) -> Iterator[Contestant]:
    """Run a service that sends a share of its traces, None for none."""
    environment = (
        {}
        if share is None
        else {
            "TOKENSVC_TRACES": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_TRACES_SAMPLER": "traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": share,
        }
    )
    with running_service(1, environment) as service:
        texts = add_keys(service.database_url, keys)
        yield Contestant(
            name=name,
            port=service.port,
            requests=write_requests(folder / name, "/v1/token", texts),
            service=(service.pid,),
            database=(service.postmaster,),
        )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.traces", description="Measure what traces cost."
    )
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--keys", type=int, default=2000)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tokensvc-bench-")))
        endpoint = stack.enter_context(collecting()).address
        contestants = [
            stack.enter_context(tracing_service(name, share, endpoint, folder, options.keys))
            for name, share in SHARES.items()
        ]
        for contestant in contestants:
            warm_up(contestant, 2 * options.keys)
        turns = hold_contest(
            contestants,
            connections=_CONNECTIONS,
            rounds=options.rounds,
            seconds=options.seconds,
        )
    print(build_table(f"exchanges, {_CONNECTIONS} connections", turns))
    print(build_ratios(turns, [(name, NONE) for name in SHARES if name != NONE]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
