"""Does a backup that is restored while services run take back what was acknowledged?

    python -m bench.restore [--rounds 20] [--seed 7]

Two services run under a load of exchanges and revocations. In each round the database is dumped,
more is revoked, and the dump is restored under the same name, in each of four ways in turn: plain
`pg_restore`, `pg_restore --single-transaction`, into a database beside, which is then renamed, and
by `tokensvc restore`.

The exit code is 1 if an acknowledged revocation was lost, or if a good key was answered 401 at any
moment, or did not work 15 s after the restore. What only took too long is listed apart if the
machine or the measurement itself was late meanwhile (`bench.watched_machine`).
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from typing import TYPE_CHECKING, Final

import asyncpg
from testbed.cluster import can_replicate
from testbed.failover_stage import open_stage
from testbed.waiting import until

from bench.watched_followers import Watch, watched
from bench.watched_keys import new_keys
from bench.watched_load import ENVIRONMENT, WatchedLoad
from tokensvc.logs.configuration import configure_logs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from testbed.failover_stage import Stage

WAYS: Final = ("plain", "single transaction", "beside and renamed", "command")
_NAME: Final = "postgres"  # of the database that the services use
_LOST_SECONDS: Final = 2.0  # of acknowledged revocations, at least
# What a command has acknowledged is known to the services then.
_KNOWN_SECONDS: Final = 1.0
_WORKS_AGAIN: Final = 15.0


class Restores:
    """Dumps the database, and restores it in one of the ways."""

    def __init__(self, stage: Stage, load: WatchedLoad) -> None:
        self._stage = stage
        self._load = load
        self._node = stage.cluster.primary
        self._dump = stage.cluster.own(stage.cluster.folder / "dump")
        self._backup = stage.cluster.folder / "backup"
        self._restored_on = time.monotonic()

    def must_work(self) -> bool:
        """Tell whether the last restore is so long ago that a good key must get a token."""
        return time.monotonic() - self._restored_on > _WORKS_AGAIN

    async def play(self, way: str) -> None:
        """Dump, wait until something was revoked that the dump lacks, and restore."""
        if way == "command":
            self._backup.unlink(missing_ok=True)
            await self._command("backup", str(self._backup))
        else:
            await self._run("pg_dump", "-Fc", "-f", self._dump, *self._login(_NAME))
        await asyncio.sleep(_LOST_SECONDS)
        self._restored_on = float("inf")
        await self._load.fall_quiet()
        await asyncio.sleep(_KNOWN_SECONDS)
        if way == "command":
            await self._command("restore", str(self._backup), "--yes")
        elif way == "beside and renamed":
            await self._admin("create database beside template template0")
            await self._restore("beside")
            await self._drop()
            await self._admin(f"alter database beside rename to {_NAME}")
        else:
            await self._drop()
            await self._admin(f"create database {_NAME} template template0")
            options = ["--single-transaction"] if way == "single transaction" else []
            await self._restore(_NAME, *options)
        self._restored_on = time.monotonic()
        self._load.is_quiet = False

    async def _restore(self, name: str, *options: str) -> None:
        await self._run("pg_restore", *options, *self._login(name), self._dump)

    async def _command(self, *arguments: str) -> None:
        done = await asyncio.to_thread(self._stage.services[0].cli, *arguments)
        if done.returncode != 0:
            raise RuntimeError(f"{arguments[0]} failed: {done.stderr[-1000:]}")

    async def _drop(self) -> None:
        await self._admin(f"drop database {_NAME} with (force)")

    def _login(self, name: str) -> Sequence[str]:
        return ("-d", self._url(name))

    def _url(self, name: str) -> str:
        return self._node.url.rpartition("/")[0] + f"/{name}"

    async def _admin(self, statement: str) -> None:
        connection = await asyncpg.connect(self._url("template1"), timeout=10)
        await connection.execute(statement)
        await connection.close()

    async def _run(self, program: str, *arguments: str | Path) -> None:
        await asyncio.to_thread(self._stage.cluster.run, program, *arguments)


async def _play(way: str, rounds: int, seed: int) -> int:
    async with open_stage(synchronous=False, of_services=[ENVIRONMENT] * 2) as stage:
        keys = await new_keys(stage.cluster.primary.url)
        load = WatchedLoad(stage, keys, random.Random(seed), has_limits=False)
        restores = Restores(stage, load)
        watch = Watch(stage, load, keys.caller, restores.must_work)
        async with watched(watch):
            await asyncio.sleep(_LOST_SECONDS)
            for _ in range(rounds):
                await restores.play(way)
                await until(lambda: all(service.is_ready() for service in stage.services))
            await asyncio.sleep(_WORKS_AGAIN + 2)
            await watch.check_all()
    print(f"seed {seed}: {rounds} restores, {way}")
    return watch.report()


async def _main(ways: Sequence[str], rounds: int, seed: int) -> int:
    return max([await _play(way, rounds, seed) for way in ways])


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.restore")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=None, help="the default is another each time")
    parser.add_argument("--way", choices=WAYS, action="append", help="the default is all of them")
    options = parser.parse_args()
    if not can_replicate():
        print("skipped: it needs pg_dump and pg_restore (Debian: postgresql)")
        return 0
    configure_logs("critical")
    seed = random.randrange(10_000) if options.seed is None else options.seed
    return asyncio.run(_main(options.way or WAYS, options.rounds, seed))


if __name__ == "__main__":
    sys.exit(main())
