"""Does what was acknowledged hold whatever the clocks do?

    python -m bench.clock [--steps 50] [--seed 7] [--failover]

Three clocks are stepped at random by -90 to +3,600 s, one every 3 s: Postgres's, and those of two
service processes, under a load of exchanges and revocations. After every 25 steps all clocks are
right for a while, and everything must work again 10 s later. With `--failover` Postgres also
crashes, twice in 25 steps, and a standby is promoted whose clock is the next step.

The exit code is 1 if an acknowledged revocation did not hold, if a live entry of the denylist was
deleted, if a good key was refused 10 s after the clocks agreed again (401: at any time), or if a
key got more tokens in a minute or day, as their `iat` names it, than its limit.

What only took too long is listed apart, and changes no exit code, if the machine or the measurement
itself was late meanwhile: a plain process looks at both (`bench.watched_machine`).
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from testbed.cluster import can_replicate
from testbed.failover_stage import Stage, open_stage
from testbed.faketime import FAKETIME, MovedClock

from bench.watched_followers import Watch, watched
from bench.watched_keys import new_keys
from bench.watched_load import ENVIRONMENT, WatchedLoad
from tokensvc.logs.configuration import configure_logs

if TYPE_CHECKING:
    from collections.abc import Iterator

_EVERY: Final = 3.0  # seconds
_BACK, _AHEAD = -90, 3600
_STEPS_BETWEEN_RESTS: Final = 25
_CRASHES_AT: Final = (8, 17)  # of the steps between two rests
_RESTART_AT: Final = 13
_MUST_WORK_AFTER: Final = 10.0
_REST: Final = 13.0


class Steps:
    """Steps the clocks, and crashes Postgres."""

    def __init__(
        self,
        stage: Stage,
        clocks: list[MovedClock],
        load: WatchedLoad,
        chance: random.Random,
        *,
        failover: bool,
    ) -> None:
        self._stage = stage
        self._clocks = clocks  # Postgres's first
        self._chance = chance
        self._failover = failover
        self._agreed_on = time.monotonic()
        self.crashes = 0
        self._load = load

    def must_work(self) -> bool:
        """Tell whether the clocks agree for so long that a good key must get a token."""
        return time.monotonic() - self._agreed_on > _MUST_WORK_AFTER

    async def play(self, count: int, watch: Watch) -> None:
        """Step so often, and let everything be right for a while after some of the steps."""
        for number in range(1, count + 1):
            due_on = time.monotonic() + _EVERY
            self._agreed_on = float("inf")
            crashes = self._failover and number % _STEPS_BETWEEN_RESTS in _CRASHES_AT
            if crashes:
                await self._prepare_crash()
                due_on = time.monotonic() + _EVERY
            self._step()
            if crashes:
                await self._crash()
            if number % _STEPS_BETWEEN_RESTS == _RESTART_AT:
                await asyncio.to_thread(self._restart_a_service)
            await asyncio.sleep(max(0.0, due_on - time.monotonic()))
            if number % _STEPS_BETWEEN_RESTS == 0 or number == count:
                await self._rest(watch)

    def _step(self) -> None:
        postgres, *others = self._clocks
        clock = self._chance.choice([postgres, postgres, *others])
        if clock.ahead and self._chance.random() < 0.6:
            clock.ahead = 0.0
        else:
            most = self._chance.choice([-_BACK, _AHEAD])
            clock.ahead = round(self._chance.uniform(_BACK, most), 3)
        if not any(clock.ahead for clock in self._clocks):
            self._agreed_on = time.monotonic()

    async def _prepare_crash(self) -> None:
        await self._stage.cluster.add_standby(synchronous=False)
        await self._load.fall_quiet()
        await asyncio.sleep(1)
        await self._stage.cluster.wait_for_standby()

    async def _crash(self) -> None:
        self._stage.cluster.primary.end(signal.SIGKILL)
        await self._stage.cluster.promote()
        self._load.is_quiet = False
        self.crashes += 1

    def _restart_a_service(self) -> None:
        service = self._chance.choice(self._stage.services)
        service.stop()
        service.start()

    async def _rest(self, watch: Watch) -> None:
        for clock in self._clocks:
            clock.ahead = 0.0
        self._agreed_on = time.monotonic()
        await asyncio.sleep(_REST)
        await watch.check_all()


@contextmanager
def _moved_clocks() -> Iterator[list[MovedClock]]:
    """Lend the clocks of Postgres and of two services."""
    with tempfile.TemporaryDirectory(prefix="tokensvc-clock-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # Postgres may run as another user
        yield [MovedClock(folder / what) for what in ("postgres", "first", "second")]


async def _main(count: int, seed: int, *, failover: bool) -> int:
    with _moved_clocks() as clocks:
        postgres, *others = clocks
        async with open_stage(
            synchronous=False,
            of_postgres=postgres.environment,
            of_services=[ENVIRONMENT | clock.environment for clock in others],
        ) as stage:
            keys = await new_keys(stage.cluster.primary.url)
            load = WatchedLoad(stage, keys, random.Random(seed), has_limits=True)
            # Of its own, so that a seed names the same steps again, whatever the load has done.
            chance = random.Random(seed)
            steps = Steps(stage, clocks, load, chance, failover=failover)
            watch = Watch(stage, load, keys.caller, steps.must_work)
            async with watched(watch):
                await steps.play(count, watch)
    print(f"seed {seed}: {count} steps, {steps.crashes} crashes")
    return watch.report()


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.clock")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--seed", type=int, default=None, help="the default is another each time")
    parser.add_argument("--failover", action="store_true")
    options = parser.parse_args()
    if FAKETIME is None or not can_replicate():
        print("skipped: it needs libfaketime and pg_basebackup (Debian: faketime, postgresql)")
        return 0
    configure_logs("critical")
    seed = random.randrange(10_000) if options.seed is None else options.seed
    return asyncio.run(_main(options.steps, seed, failover=options.failover))


if __name__ == "__main__":
    sys.exit(main())
