"""Is an acknowledged revocation ever lost when Patroni fails over, and how long does that take?

    python -m bench.patroni [--kills 20] [--mode off] [--mode on] [--rate 200] [--seed 7]

Three nodes under Patroni and two services, under a load of exchanges and five revocations a second.
The primary is killed again and again, with its Patroni, as if the host were lost: after its `ttl`
of 20 s Patroni makes another node the primary. `on` and `off` say whether a commit waits for a
second node (`synchronous_mode`). Between two kills the dead node comes back and follows.

The exit code is 1 if an acknowledged revocation was lost, or anybody got what was revoked. How long
nothing could be written is printed: from the kill to the end of the first exchange and revocation
that were begun after it.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import time
from typing import TYPE_CHECKING, Final, cast

import aiohttp
from testbed.failover_stage import open_services
from testbed.patroni import PatroniCluster, has_patroni
from testbed.waiting import until

from bench.watched_followers import Watch, watched
from bench.watched_keys import new_keys
from bench.watched_load import ENVIRONMENT, WatchedLoad
from tokensvc.logs.configuration import configure_logs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.cluster import Cluster
    from testbed.failover_stage import Stage

MODES: Final = ("off", "on")
_BETWEEN_KILLS: Final = 5.0
_DOOMED: Final = 400  # keys to be revoked, for each kill: more than a round needs
_WORKS_AGAIN: Final = 15.0  # seconds after which every good key must get a token
_TRY: Final = aiohttp.ClientTimeout(total=3)
_BETWEEN_TRIES: Final = 0.1


class Kills:
    """Kills the primary, and notes how long nothing could be written."""

    def __init__(self, cluster: PatroniCluster, stage: Stage, key: str) -> None:
        self._cluster = cluster
        self._stage = stage
        self._key = key
        self._written_on = time.monotonic()
        self.outages: list[float] = []  # seconds

    def must_work(self) -> bool:
        """Tell whether the last outage ended so long ago that a good key must get a token."""
        return time.monotonic() - self._written_on > _WORKS_AGAIN

    def written_on(self) -> float:
        """Return since when Postgres can be written (monotonic); infinity in an outage.

        What was acknowledged in the moment of a kill reaches followers by the next primary.
        """
        return self._written_on

    async def play(self) -> None:
        """Kill the primary, wait for the next one, and bring the dead node back."""
        member = await asyncio.to_thread(lambda: self._cluster.primary)
        killed_on, self._written_on = time.monotonic(), float("inf")
        await asyncio.to_thread(member.kill)
        await until(self._writes, 180)
        self._written_on = time.monotonic()
        self.outages.append(self._written_on - killed_on)
        self._cluster.start(member)
        await asyncio.to_thread(self._cluster.wait_until_whole)
        await asyncio.sleep(_BETWEEN_KILLS)

    async def _writes(self) -> bool:
        """Tell whether an exchange and a revocation are acknowledged."""
        await asyncio.sleep(_BETWEEN_TRIES)
        session, url = self._stage.session, random.choice(self._stage.services).url
        headers = {"Authorization": f"Bearer {self._key}"}
        try:
            async with session.post(f"{url}/v1/token", headers=headers, timeout=_TRY) as answer:
                if answer.status != 200:
                    return False
                form = {"token": (await answer.json())["access_token"]}
            async with session.post(f"{url}/v1/revoke", data=form, timeout=_TRY) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    def report(self) -> None:
        """Print the outages."""
        if not self.outages:
            return
        median, worst = statistics.median(self.outages), max(self.outages)
        print(f"  nothing could be written for {median:.1f} s (median), {worst:.1f} s (worst)")


async def _play(mode: str, kills: int, rate: int, seed: int) -> int:
    with PatroniCluster(synchronous=mode == "on") as patroni:
        # What a stage needs of a cluster, its URL and its primary, both kinds have.
        cluster = cast("Cluster", patroni)
        async with open_services(
            cluster, synchronous=mode == "on", of_services=[ENVIRONMENT] * 2
        ) as stage:
            keys = await new_keys(patroni.primary.url, _DOOMED * (kills + 1))
            load = WatchedLoad(stage, keys, random.Random(seed), has_limits=False, rate=rate)
            killing = Kills(patroni, stage, keys.good[0])
            watch = Watch(stage, load, keys.caller, killing.must_work, killing.written_on)
            print(f"synchronous_mode {mode}, {rate} exchanges a second, seed {seed}")
            try:
                async with watched(watch):
                    await asyncio.sleep(_BETWEEN_KILLS)
                    for number in range(kills):
                        await killing.play()
                        print(f"kill {number + 1}: {killing.outages[-1]:.1f} s", flush=True)
                    await asyncio.sleep(_WORKS_AGAIN + 2)
                    await watch.check_all()
            finally:  # a machine that gives up on the way has shown something, too
                killing.report()
                code = watch.report()
            return code


async def _main(modes: Sequence[str], kills: int, rate: int, seed: int) -> int:
    return max([await _play(mode, kills, rate, seed) for mode in modes])


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.patroni")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rate", type=int, default=200, help="exchanges in a second")
    parser.add_argument("--mode", choices=MODES, action="append", help="the default is both")
    parser.add_argument("--seed", type=int, default=None, help="the default is another each time")
    options = parser.parse_args()
    if not has_patroni():
        print("skipped: it needs etcd and patroni (Debian: etcd-server, patroni, python3-etcd)")
        return 0
    configure_logs("critical")
    seed = random.randrange(10_000) if options.seed is None else options.seed
    return asyncio.run(_main(options.mode or MODES, options.kills, options.rate, seed))


if __name__ == "__main__":
    sys.exit(main())
