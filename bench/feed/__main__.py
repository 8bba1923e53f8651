"""Prove what the feed promises, all of it or what is named.

python -m bench.feed propagation [--followers 200] [--revocations 1000]
python -m bench.feed idle [--polls 5000]        what idle followers cost the exchange
python -m bench.feed pages                      how large pages are
python -m bench.feed day                        how long the list gets in a day of made-up time
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from bench.feed.day import day
from bench.feed.idle import idle
from bench.feed.pages import pages
from bench.feed.propagation import propagation

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> int:
    """Measure what is asked for, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench.feed")
    parser.add_argument("what", nargs="?", choices=["propagation", "idle", "pages", "day"])
    parser.add_argument("--followers", type=int, default=200)
    parser.add_argument("--revocations", type=int, default=1000)
    parser.add_argument("--polls", type=int, default=5000)
    options = parser.parse_args()
    proofs: dict[str, Callable[[], bool]] = {
        "pages": pages,
        "day": day,
        "idle": lambda: idle(options.polls),
        "propagation": lambda: propagation(options.followers, options.revocations),
    }
    kept = {name: proof() for name, proof in proofs.items() if options.what in {None, name}}
    print(json.dumps(kept))
    return 0 if all(kept.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
