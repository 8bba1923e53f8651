"""Prove what the ledger promises, all of it or what is named.

    python -m bench.ledger exact     2 services x 2 workers against 100 keys at ten times their
                                     limit, over three minute boundaries
    python -m bench.ledger rows      sizes of tables and indexes before and after 200,000 exchanges
    python -m bench.ledger scale     throughput with a million keys against ten thousand
    python -m bench.ledger flood     honest latency beside 5,000 unknown keys a second
    python -m bench.ledger memory    a worker's memory over 500,000 exchanges

Each starts its own services in temporary folders, and says whether the promise held.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Final

from bench.ledger.exact import exact
from bench.ledger.growth import memory, rows
from bench.ledger.strain import flood, scale

if TYPE_CHECKING:
    from collections.abc import Callable

PROOFS: Final[dict[str, Callable[[], bool]]] = {
    "exact": exact,
    "rows": rows,
    "scale": scale,
    "flood": flood,
    "memory": memory,
}


def main() -> int:
    """Run the named proofs, or all; return how many promises were not kept."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.ledger", description="Prove what the ledger promises."
    )
    parser.add_argument("proofs", nargs="*", choices=[*PROOFS, []], help="all if none is named")
    failed = []
    for name in parser.parse_args().proofs or PROOFS:
        print(f"\n--- {name}", flush=True)
        if not PROOFS[name]():
            failed.append(name)
            print("NOT KEPT")
    print(f"\nkept: {len(PROOFS) - len(failed)}; not kept: {failed or 'none'}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
