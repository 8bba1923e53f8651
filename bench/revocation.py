"""How long does a revoked token live, from the acknowledgement to the refusal by a follower?

    python -m bench.revocation [-n 200] [--followers 1]

Starts its own service in a temporary folder on a free port, and stops it. The follower is another
process. A revocation that it heard of before the acknowledgement arrived counts as zero seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import aiohttp
from testbed.keys import add_keys
from testbed.relying_party import RelyingParty

from bench.installation import running_service

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHARES: Final = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))


@dataclass(frozen=True, slots=True)
class Refusal:
    """What became of one revocation; `seconds` is infinite if the follower never refused."""

    seconds: float
    reason: str


async def measure(issuer: str, api_key: str, revocations: int, followers: int = 1) -> list[Refusal]:
    """Revoke so many fresh tokens one after another, and see each refused in another process.

    `followers`: how many follow there; all but the one that is asked are there for the load.
    """
    with RelyingParty(issuer, followers=followers) as relying_party:
        async with aiohttp.ClientSession(issuer, raise_for_status=True) as session:
            return [await _revoke_one(session, api_key, relying_party) for _ in range(revocations)]


async def _revoke_one(
    session: aiohttp.ClientSession, api_key: str, relying_party: RelyingParty
) -> Refusal:
    headers = {"Authorization": f"Bearer {api_key}"}
    async with session.post("/v1/token", headers=headers) as answer:
        token = str((await answer.json())["access_token"])
    verdict = await asyncio.to_thread(relying_party.verify, token)
    if verdict != "good":
        raise RuntimeError(f"the follower refuses a fresh token: {verdict}")
    refused = asyncio.create_task(asyncio.to_thread(relying_party.wait_for_refusal, token))
    async with session.post("/v1/revoke", data={"token": token}):
        acknowledged_on = time.monotonic()
    reason, refused_on = await refused
    return Refusal(max(0.0, refused_on - acknowledged_on), reason)


def report(refusals: Sequence[Refusal], followers: int) -> str:
    """Return the figures as text."""
    times = sorted(refusal.seconds for refusal in refusals)
    figures = ", ".join(
        f"{name} {1000 * times[min(len(times) - 1, int(share * len(times)))]:.1f} ms"
        for name, share in _SHARES
    )
    return "\n".join(
        [
            "revocation, acknowledged -> refused by a follower in another process",
            f"  N {len(refusals)}, {followers} follower(s)",
            f"  {figures}",
        ]
    )


def main() -> int:
    """Measure and print; fail if a token was not refused."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.revocation", description="Measure the latency of revocation."
    )
    parser.add_argument("-n", "--revocations", type=int, default=200)
    parser.add_argument("--followers", type=int, default=1)
    options = parser.parse_args()
    with running_service(1, {"TOKENSVC_LOG_LEVEL": "warning"}) as process:
        (key,) = add_keys(process.database_url, 1)
        refusals = asyncio.run(measure(process.url, key, options.revocations, options.followers))
    print(report(refusals, options.followers))
    return 0 if all(refusal.reason == "revoked_jti" for refusal in refusals) else 1


if __name__ == "__main__":
    sys.exit(main())
