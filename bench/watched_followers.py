"""Whether what was acknowledged holds: at followers, at the issuer, and in the table."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import aiohttp

from tokensvc.core.errors import BearerError
from tokensvc.verify import Clock, Verifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import asyncpg
    from testbed.failover_stage import Stage

    from bench.watched_load import Acknowledged, Issued, WatchedLoad

LATEST: Final = 10.0  # seconds after which a running follower must know a revocation
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

    def find_refusal(self, token: Issued) -> str | None:
        """Return why it refuses a token now."""
        try:
            self.verifier.verify(token.text)
        except BearerError as error:
            return error.reason
        return None


@dataclass(slots=True)
class Watch:
    """Looks at running followers all the time, and at everything else when it is told to."""

    stage: Stage
    load: WatchedLoad
    must_work: Callable[[], bool]
    delays: list[float] = field(default_factory=list)  # seconds until a revocation was known
    introspected: int = 0

    async def run(self, followers: Sequence[Follower]) -> None:
        """Look at the running followers until cancelled."""
        pending: list[Acknowledged] = []
        seen = 0
        while True:
            pending += self.load.acknowledged[seen:]
            seen = len(self.load.acknowledged)
            pending = [revoked for revoked in pending if not self._is_known(followers, revoked)]
            if self.must_work():
                self._look_at_good_tokens(followers)
            await asyncio.sleep(_LOOK)

    def _is_known(self, followers: Sequence[Follower], revoked: Acknowledged) -> bool:
        passed = time.monotonic() - revoked.on
        if any(_accepts_some(follower, [revoked]) for follower in followers):
            if passed < LATEST:
                return False
            self.load.faults.note("a running follower does not know of it", revoked[:2])
        self.delays.append(passed)
        return True

    def _look_at_good_tokens(self, followers: Sequence[Follower]) -> None:
        young = time.monotonic() - 1
        for token in list(self.load.recent)[-20:]:
            for follower in followers:
                refusal = follower.find_refusal(token)
                if refusal is not None and token.asked_on > young:
                    self.load.faults.note("a good token was refused", refusal)

    async def check_all(self, followers: Sequence[Follower]) -> None:
        """Check everything that was acknowledged: running and fresh followers, issuer, table."""
        past = [r for r in self.load.acknowledged if r.on < time.monotonic() - LATEST]
        for follower in followers:
            if _accepts_some(follower, past):
                self.load.faults.note("a running follower forgot")
        async with AsyncExitStack() as stack:
            for number in range(len(self.stage.services)):
                fresh = Follower(self.stage, number)
                await stack.enter_async_context(fresh.verifier)
                for revoked in past:
                    if _accepts_some(fresh, [revoked]):
                        self.load.faults.note("a fresh follower does not know", revoked[:2])
        await self._introspect_all(past)

    async def _introspect_all(self, past: Sequence[Acknowledged]) -> None:
        turns = iter([revoked for revoked in past for _ in revoked.tokens[-1:]])

        async def take_turns() -> None:
            for revoked in turns:
                if await self._introspect(revoked.tokens[-1]):
                    self.load.faults.note("introspection calls it live", revoked[:2])

        await asyncio.gather(*(take_turns() for _ in range(_AT_ONCE)))

    async def _introspect(self, token: Issued) -> bool:
        """Tell whether a service calls a token live; it does not if it does not answer."""
        url = self.stage.services[self.introspected % len(self.stage.services)].url
        headers = {"Authorization": f"Bearer {self.load.caller}"}
        try:
            async with self.stage.session.post(
                f"{url}/v1/introspect",
                data={"token": token.text},
                headers=headers,
                timeout=_PATIENCE,
            ) as answer:
                self.introspected += answer.status == 200
                return answer.status == 200 and bool((await answer.json())["active"])
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def check_table(self, connection: asyncpg.Connection) -> None:
        """Check that no entry is gone. None has expired yet, because the run is short."""
        rows = await connection.fetch("select kind, value from denylist")
        held = {(row["kind"], row["value"]) for row in rows}
        for revoked in self.load.acknowledged:
            if (revoked.kind, revoked.value) not in held:
                self.load.faults.note("a live entry is gone", revoked[:2])


def _accepts_some(follower: Follower, revoked: Iterable[Acknowledged]) -> bool:
    return any(follower.accepts(token) for one in revoked for token in one.tokens)
