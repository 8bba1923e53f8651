"""Whether what was acknowledged holds: at followers, at the issuer, and in the table."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import aiohttp
from testbed.waiting import PATIENCE, until

from tokensvc.core.errors import BearerError, VerifierUnavailableError
from tokensvc.store.primary import connect
from tokensvc.verify import Clock, Verifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence

    import asyncpg
    from testbed.failover_stage import Stage

    from bench.watched_keys import Acknowledged, Issued
    from bench.watched_load import WatchedLoad

LATEST: Final = 10.0  # seconds after which a follower must know a revocation
_NEVER: Final = 40.0  # no slowness excuses a follower that does not know it by then
_LOOK: Final = 0.1
_AT_ONCE: Final = 16
_PATIENCE: Final = aiohttp.ClientTimeout(total=6)


class Follower:
    """A verifier that can be asked what it will say later, when a token is not too young."""

    def __init__(self, stage: Stage, number: int) -> None:
        self._ahead = 0.0
        clock = Clock(wall=lambda: time.time() + self._ahead, monotonic=time.monotonic)
        self.verifier: Verifier = stage.verifier(number, clock=clock)

    def accepts(self, token: Issued) -> bool:
        """Tell whether it takes a token, now or as soon as its `iat` has come."""
        self._ahead = max(0.0, token.claims["iat"] + 1 - time.time())
        try:
            return self.find_refusal(token) is None
        finally:
            self._ahead = 0.0

    def find_refusal(self, token: Issued) -> BearerError | None:
        """Return why it refuses a token now."""
        try:
            self.verifier.verify(token.text)
        except BearerError as error:
            return error
        return None


@dataclass(slots=True)
class Watch:
    """Looks at running followers all the time, and at everything else when it is told to.

    `must_work` tells whether a good key must get a token now. A running follower must know a
    revocation 10 s after it was acknowledged; or after `written_on`, the moment from which Postgres
    could be written again (monotonic), infinity while it cannot.
    """

    stage: Stage
    load: WatchedLoad
    caller: str  # a key that may introspect
    must_work: Callable[[], bool]
    written_on: Callable[[], float] = lambda: float("-inf")
    followers: list[Follower] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)  # seconds until a revocation was known
    unknown: list[Acknowledged] = field(default_factory=list)  # to a running follower, so far
    introspected: int = 0

    async def run(self) -> None:
        """Look at the running followers until cancelled."""
        seen = 0
        late: set[str] = set()
        while True:
            self.unknown += self.load.acknowledged[seen:]
            seen = len(self.load.acknowledged)
            self.unknown = [revoked for revoked in self.unknown if not self._is_known(revoked)]
            for revoked in self.unknown:
                since_written = time.monotonic() - self.written_on()
                if min(revoked.age, since_written) > LATEST and revoked.value not in late:
                    late.add(revoked.value)
                    self._note_late("a running follower does not know of it", revoked[:2])
            if self.must_work():
                self._look_at_good_tokens()
            await asyncio.sleep(_LOOK)

    def _note_late(self, kind: str, detail: object) -> None:
        errors = [follower.verifier.status().denylist_error for follower in self.followers]
        self.load.faults.note_late(kind, (detail, errors))

    def _is_known(self, revoked: Acknowledged) -> bool:
        if any(_accepts_some(follower, [revoked]) for follower in self.followers):
            return False
        self.delays.append(revoked.age)
        return True

    def _list_young_tokens(self) -> list[Issued]:
        """Return tokens that were issued within the last second, and so are not revoked."""
        young = time.monotonic() - 1
        return [token for token in list(self.load.recent)[-20:] if token.asked_on > young]

    def _look_at_good_tokens(self) -> None:
        for follower in self.followers:
            self._try_good_tokens(follower, "a good token was refused")

    def _try_good_tokens(self, follower: Follower, kind: str) -> None:
        for token in self._list_young_tokens():
            refusal = follower.find_refusal(token)
            if isinstance(refusal, VerifierUnavailableError):
                self._note_late(kind, refusal.reason)
            elif refusal is not None:
                self.load.faults.note(kind, refusal.reason)

    async def check_all(self) -> None:
        """Check everything that was acknowledged: running and fresh followers, issuer, table."""
        past = [r for r in self.load.acknowledged if r.age > LATEST]
        await self._check_running(past)
        for number in range(len(self.stage.services)):
            await self._check_fresh(number, past)
        await self._introspect_all(past)
        await self._check_table()
        self._look_at_logs()

    async def _check_running(self, past: Sequence[Acknowledged]) -> None:
        for follower in self.followers:
            for revoked in await _list_accepted(follower, past):
                if revoked not in self.unknown:
                    self.load.faults.note("a running follower forgot", revoked[:2])
                elif revoked.age > _NEVER:
                    self.load.faults.note("a running follower never knew", revoked[:2])

    async def _check_fresh(self, number: int, past: Sequence[Acknowledged]) -> None:
        fresh = Follower(self.stage, number)
        async with fresh.verifier:
            if not fresh.verifier.status().ready:
                self._note_late("a fresh follower has no denylist", number)
                # One that knows nothing refuses everything, which would prove nothing.
                await until(lambda: fresh.verifier.status().ready)
            for revoked in await _list_accepted(fresh, past):
                self.load.faults.note("a fresh follower does not know", revoked[:2])
            if self.must_work():
                self._try_good_tokens(fresh, "a fresh follower refuses a good token")

    async def _introspect_all(self, past: Sequence[Acknowledged]) -> None:
        turns = iter([revoked for revoked in past for _ in revoked.tokens[-1:]])

        async def take_turns() -> None:
            for revoked in turns:
                if await self._introspect(revoked.tokens[-1]) is True:
                    self.load.faults.note("introspection calls it live", revoked[:2])

        await asyncio.gather(*(take_turns() for _ in range(_AT_ONCE)))
        before = self.introspected
        live = [await self._introspect(token) for token in list(self.load.recent)[-_AT_ONCE:]]
        if self.must_work() and False in live:
            self.load.faults.note("introspection refuses a good token", live)
        if self.must_work() and self.introspected == before:
            self._note_late("introspection does not answer", live)

    async def _introspect(self, token: Issued) -> bool | None:
        """Tell whether a service calls a token live; None if it does not answer."""
        url = self.stage.services[self.introspected % len(self.stage.services)].url
        headers = {"Authorization": f"Bearer {self.caller}"}
        try:
            async with self.stage.session.post(
                f"{url}/v1/introspect",
                data={"token": token.text},
                headers=headers,
                timeout=_PATIENCE,
            ) as answer:
                if answer.status != 200:
                    return None
                self.introspected += 1
                return bool((await answer.json())["active"])
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def _check_table(self) -> None:
        """Check that no entry is gone while a token that it concerns has not expired."""
        acknowledged = list(self.load.acknowledged)  # first: more may come while the table is read
        connection = await _connect_patiently(self.stage.cluster.primary.url)
        rows = await connection.fetch("select kind, value from denylist")
        await connection.close()
        held = {(row["kind"], row["value"]) for row in rows}
        for revoked in acknowledged:
            is_live = any(token.claims["exp"] > time.time() for token in revoked.tokens)
            if is_live and (revoked.kind, revoked.value) not in held:
                self.load.faults.note("a live entry is gone", revoked[:2])

    def _look_at_logs(self) -> None:
        for service in self.stage.services:
            for line in service.errors.splitlines():
                if '"exception"' in line:
                    self.load.faults.note("a service logged a fault of its own", line[-1500:])

    def report(self) -> int:
        """Print what was seen; return 1 if anything was wrong."""
        load, delays = self.load, sorted(self.delays)
        kinds = dict(Counter(revoked.kind for revoked in load.acknowledged))
        print(f"  {len(load.acknowledged)} revocations acknowledged: {kinds}")
        print(f"  {load.unknown_outcomes} not acknowledged; answers: {dict(load.statuses)}")
        print(f"  {self.introspected} tokens introspected; load average {os.getloadavg()[0]:.1f}")
        if delays:
            p50, p99 = delays[len(delays) // 2], delays[int(len(delays) * 0.99)]
            print(f"  at followers: p50 {p50:.2f} s, p99 {p99:.2f} s, worst {delays[-1]:.2f} s")
        faults = load.faults.report()
        print("  bad" if faults else "  good", flush=True)
        return int(bool(faults))


@asynccontextmanager
async def watched(watch: Watch) -> AsyncIterator[None]:
    """Run followers, the load and the watch until the end of the block; one that fails ends it."""
    watch.followers = [Follower(watch.stage, number) for number in range(len(watch.stage.services))]
    async with AsyncExitStack() as stack:
        for follower in watch.followers:
            await stack.enter_async_context(follower.verifier)
        acts = (watch.load.machine.run(), watch.load.run(watch.must_work), watch.run())
        tasks = [asyncio.create_task(act) for act in acts]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


async def _connect_patiently(url: str) -> asyncpg.Connection:
    """Connect to Postgres, which a busy machine may not do within its time limit."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await connect(url)
            except OSError:  # a TimeoutError is one, too
                await asyncio.sleep(_LOOK)


async def _list_accepted(follower: Follower, revoked: Sequence[Acknowledged]) -> list[Acknowledged]:
    """Return what a follower does not know. Other followers and the load go on meanwhile."""
    accepted = []
    for one in revoked:
        await asyncio.sleep(0)  # thousands of tokens take seconds, and a stall makes others late
        if _accepts_some(follower, [one]):
            accepted.append(one)
    return accepted


def _accepts_some(follower: Follower, revoked: Iterable[Acknowledged]) -> bool:
    return any(follower.accepts(token) for one in revoked for token in one.tokens)
