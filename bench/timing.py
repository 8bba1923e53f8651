"""Does the time of a refusal tell why a key is refused (T20)?

    python -m bench.timing [--samples 2000] [--bare] [--connections 100]

Shows keys that never existed, and keys that are disabled, revoked, expired or of a suspended
account, in random order, and compares the times of the first with those of each other kind by the
test of Mann and Whitney. With `--bare`, the limits that make refusals come late are out of the way,
as for the first refusals of a network.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import sys
import time
from typing import TYPE_CHECKING, Final

import aiohttp
import uvloop
from testbed.keys import add_keys

from bench.installation import database_of, running_service
from tokensvc.core.api_key import new_api_key, parse_api_key
from tokensvc.store.primary import connect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from testbed.processes import ServiceProcess

_LEAST_P: Final = 0.01
_REFUSED: Final = 401
_OUT_OF_THE_WAY: Final = "1000000000"
_BARE: Final = {
    "TOKENSVC_UNKNOWN_KEYS_PER_MINUTE": _OUT_OF_THE_WAY,
    "TOKENSVC_REFUSALS_PER_MINUTE": _OUT_OF_THE_WAY,
}
_ENDINGS: Final = {
    "disabled": "update api_key set disabled_at = created_at where digest = any($1)",
    "revoked": "update api_key set revoked_at = created_at where digest = any($1)",
    "expired": "update api_key set expires_at = created_at where digest = any($1)",
    "suspended": "update account set suspended_at = created_at"
    " where id in (select account_id from api_key where digest = any($1))",
}
_OF_A_KIND: Final = 200  # keys; none is shown often


async def _end(url: str, keys: Mapping[str, Sequence[str]]) -> None:
    connection = await connect(url)
    for kind, statement in _ENDINGS.items():
        digests = [parse_api_key(text, "tsk-").digest for text in keys[kind]]
        await connection.execute(statement, digests)
    await connection.close()


async def sample(
    url: str, keys: Mapping[str, Sequence[str]], samples: int, at_once: int
) -> dict[str, list[float]]:
    """Return the milliseconds of `samples` refusals of each kind, asked in random order."""
    order = [(kind, random.choice(keys[kind])) for kind in keys for _ in range(samples)]
    random.shuffle(order)
    times: dict[str, list[float]] = {kind: [] for kind in keys}

    async def ask(session: aiohttp.ClientSession) -> None:
        while order:
            kind, key = order.pop()
            headers = {"Authorization": f"Bearer {key}"}
            began = time.perf_counter()
            async with session.post(f"{url}/v1/token", headers=headers) as answer:
                await answer.read()
            times[kind].append(1000 * (time.perf_counter() - began))
            if answer.status != _REFUSED:
                raise RuntimeError(f"{kind}: {answer.status}")

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(ask(session) for _ in range(at_once)))
    return times


def find_p(one: Sequence[float], other: Sequence[float]) -> float:
    """Return how likely a difference like this is by chance, by the test of Mann and Whitney.

    Two-sided, by the normal distribution, as is right for samples of more than some dozens.
    """
    ranked = sorted([(value, 0) for value in one] + [(value, 1) for value in other])
    rank_sum = float(sum(rank for rank, (_, of) in enumerate(ranked, 1) if of == 0))
    n, m = len(one), len(other)
    expected = n * (n + m + 1) / 2
    spread = (n * m * (n + m + 1) / 12) ** 0.5
    return 2 * (1 - statistics.NormalDist().cdf(abs(rank_sum - expected) / spread))


def measure(service: ServiceProcess, url: str, samples: int, at_once: int) -> bool:
    """Print the times of each kind; return whether none of them can be told from the first."""
    keys = {kind: add_keys(url, _OF_A_KIND, accounts=_OF_A_KIND) for kind in _ENDINGS}
    asyncio.run(_end(url, keys))
    keys["unknown"] = [new_api_key().text for _ in range(_OF_A_KIND)]
    uvloop.run(sample(service.url, keys, 100, at_once))  # the first ones come at once
    times = uvloop.run(sample(service.url, keys, samples, at_once))
    kept = True
    for kind, seen in times.items():
        quarters = ", ".join(f"{value:.3f}" for value in statistics.quantiles(seen, n=4))
        print(f"{kind:<10} {len(seen)} samples, quartiles {quarters} ms", end="")
        if kind != "unknown":
            p = find_p(times["unknown"], seen)
            kept = kept and p > _LEAST_P
            print(f", p {p:.4f}", end="")
        print()
    return kept


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.timing")
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--bare", action="store_true")
    options = parser.parse_args()
    environment = _BARE if options.bare else {}
    with running_service(1, environment) as service, database_of(service) as (url, _):
        kept = measure(service, url, options.samples, options.connections)
    print(f"{'kept' if kept else 'NOT KEPT'}; load average {os.getloadavg()[0]:.1f}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
