"""From the acknowledgement of a revocation to the refusal by the last of many followers.

The followers are in processes of their own, half at each of two services on one database. Tokens
are revoked at random moments through either service.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp
from testbed.keys import add_keys
from testbed.processes import ROOT, ServiceProcess

from bench.installation import database_of, running_service
from tokensvc.core.token import read_unverified

if TYPE_CHECKING:
    from collections.abc import Sequence

_FOLLOWERS_PER_PROCESS: Final = 50
_RATE: Final = 10.0  # revocations a second, on average
_SHARES: Final = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))


def propagation(followers: int, revocations: int) -> bool:
    """Measure; return whether every follower refused every token, 99 % of them within a second."""
    life = {"TOKENSVC_TOKEN_TTL": "3600", "TOKENSVC_LOG_LEVEL": "warning"}
    with running_service(1, life) as first, database_of(first) as (url, _), ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tokensvc-bench-")))
        shared = {
            "TOKENSVC_DATABASE_URL": url,
            "TOKENSVC_KEYS_DIR": str(first.folder / "keys"),
            "TOKENSVC_ISSUER": first.url,
        }
        second = ServiceProcess(folder, (), life | shared)
        stack.callback(second.stop)
        second.wait_until_ready()
        tokens = asyncio.run(_exchange(first.url, add_keys(url, revocations)))
        (folder / "tokens").write_text("\n".join(tokens))
        children = _start_followers([first, second], followers, folder / "tokens")
        acknowledged = asyncio.run(_revoke_all([first, second], tokens))
        seen = [json.loads(child.communicate("")[0]) for child in children]
    return _judge(acknowledged, seen, followers, revocations)


def _start_followers(
    services: Sequence[ServiceProcess], followers: int, tokens: Path
) -> list[subprocess.Popen[str]]:
    children = []
    for number in range(max(1, followers // _FOLLOWERS_PER_PROCESS)):
        feed = f"{services[number % 2].url}/v1/denylist"
        count = str(min(followers, _FOLLOWERS_PER_PROCESS))
        options = [services[0].url, feed, count, str(tokens)]
        children.append(
            subprocess.Popen(
                [sys.executable, "-m", "bench.feed.follow", *options],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    for child in children:
        if child.stdout is None or child.stdout.readline().strip() != "ready":
            raise RuntimeError("a follower did not start")
    return children


async def _exchange(url: str, keys: Sequence[str]) -> list[str]:
    tokens = []
    async with aiohttp.ClientSession() as session:
        for key in keys:
            headers = {"Authorization": f"Bearer {key}"}
            async with session.post(f"{url}/v1/token", headers=headers) as answer:
                tokens.append(str((await answer.json())["access_token"]))
    return tokens


async def _revoke_all(
    services: Sequence[ServiceProcess], tokens: Sequence[str]
) -> dict[str, float]:
    """Revoke each token at a random moment through a random service; return when by its jti."""
    acknowledged: dict[str, float] = {}
    async with aiohttp.ClientSession() as session:

        async def revoke(token: str) -> None:
            url = f"{random.choice(services).url}/v1/revoke"
            async with session.post(url, data={"token": token}) as answer:
                if answer.status == 200:
                    acknowledged[read_unverified(token)[1]["jti"]] = time.monotonic()

        async with asyncio.TaskGroup() as group:
            for token in tokens:
                group.create_task(revoke(token))
                await asyncio.sleep(random.expovariate(_RATE))
    await asyncio.sleep(2)
    return acknowledged


def _judge(
    acknowledged: dict[str, float],
    seen: Sequence[dict[str, list[tuple[str, float]]]],
    followers: int,
    revocations: int,
) -> bool:
    last: dict[str, float] = {}
    heard: dict[str, int] = {}
    for child in seen:
        for jti, moment in child["refused"]:
            last[jti] = max(moment, last.get(jti, moment))
            heard[jti] = heard.get(jti, 0) + 1
    times = sorted(
        max(0.0, last[jti] - moment) for jti, moment in acknowledged.items() if jti in last
    )
    missing = {jti: heard.get(jti, 0) for jti in acknowledged if heard.get(jti, 0) < followers}
    if missing:
        order = sorted(acknowledged, key=acknowledged.__getitem__)
        print(f"refusals that are missing: {[(order.index(jti), missing[jti]) for jti in missing]}")
    everywhere = len(acknowledged) - len(missing)
    wrong = sum(len(child["wrong"]) for child in seen)
    figures = ", ".join(
        f"{name} {1e3 * times[min(len(times) - 1, int(share * len(times)))]:.1f} ms"
        for name, share in _SHARES
    )
    print(f"{followers} followers at 2 services; {len(acknowledged)} of {revocations} revocations")
    print(f"acknowledged, {everywhere} refused everywhere; accepted after their page: {wrong}")
    print(f"acknowledged -> refused by the last follower: {figures}")
    return everywhere == revocations and wrong == 0 and times[int(0.99 * len(times))] <= 1
