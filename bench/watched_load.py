"""A load whose every answer is checked: exchanges and revocations, while something is broken.

Good keys are exchanged all the time, and so are keys with limits, keys that are revoked already,
and doomed keys. Five times a second something is revoked: a token by its `jti`, a key, or an
account. What was acknowledged must hold from then on, and whatever contradicts that is a fault.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict, deque
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from bench.watched_faults import Faults
from bench.watched_keys import Acknowledged, Issued, Refused, read_token
from bench.watched_machine import Machine
from tokensvc.core.actor import Actor
from tokensvc.core.errors import TokensvcError
from tokensvc.issuer.database import open_database
from tokensvc.issuer.revoking.endings import end_account

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Coroutine, Sequence

    from testbed.failover_stage import Stage

    from bench.watched_keys import Keys, Window
    from tokensvc.store.pool import Database

EXCHANGES_A_SECOND: Final = 100
REVOCATIONS_A_SECOND: Final = 5
# A service must not take this load for an attack from one network.
ENVIRONMENT: Final = {"TOKENSVC_UNKNOWN_KEYS_PER_MINUTE": "1000000"}

_NEXT_DOOMED: Final = 60  # so many of them are exchanged before it is their turn
_TOKENS_KEPT: Final = 6
_PATIENCE: Final = aiohttp.ClientTimeout(total=6)
_TICK: Final = 0.01


class WatchedLoad:
    """Exchanges and revokes at two services, and keeps what must hold.

    Without `has_limits` no key has a limit. `rate`: exchanges in a second. While it `is_quiet`,
    nothing is sent whose effect may be lost in a crash, by what the documentation says.
    """

    def __init__(
        self,
        stage: Stage,
        keys: Keys,
        chance: random.Random,
        *,
        has_limits: bool,
        rate: int = EXCHANGES_A_SECOND,
    ) -> None:
        self._stage = stage
        self._keys = keys
        self._has_limits = has_limits
        self._rate = rate
        self._chance = chance
        self._limited_counts: Counter[tuple[str, Window]] = Counter()
        self._doomed_tokens: defaultdict[str, deque[Issued]] = defaultdict(_keep_few)
        self.recent: deque[Issued] = deque(maxlen=200)  # tokens of good keys
        self.acknowledged: list[Acknowledged] = []
        self.statuses: Counter[int] = Counter()
        self.unknown_outcomes = 0
        self.machine = Machine()
        self.faults = Faults(self.machine)
        self.is_quiet = False
        self._tasks: set[asyncio.Task[None]] = set()  # what is under way

    async def run(self, must_work: Callable[[], bool]) -> None:
        """Send until cancelled; whatever is under way is finished then.

        `must_work` tells whether a good key must get a token now.
        """
        database = await open_database(self._stage.cluster.url, max_size=2)
        began_on, sent, revoked = time.monotonic(), 0, 0

        def send(act: Coroutine[Any, Any, None]) -> None:
            task = asyncio.create_task(act)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        try:
            while True:
                await asyncio.sleep(_TICK)
                passed = time.monotonic() - began_on
                while sent < passed * self._rate:
                    sent += 1
                    send(self._exchange_any(must_work))
                while revoked < passed * REVOCATIONS_A_SECOND:
                    revoked += 1
                    send(self._revoke_any(database, revoked))
        finally:
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await database.close()

    async def fall_quiet(self) -> None:
        """Send nothing any more that a crash may take back; return when all of it is through."""
        self.is_quiet = True
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    def _any_url(self) -> str:
        return self._chance.choice(self._stage.services).url

    async def _exchange_any(self, must_work: Callable[[], bool]) -> None:
        kind = self._chance.random()
        if kind < 0.1 and self._has_limits and not self.is_quiet:
            await self._exchange_limited(self._chance.choice(self._keys.limited))
        elif kind < 0.2 and self.acknowledged:
            await self._exchange_revoked(self._chance.choice(self.acknowledged))
        elif kind < 0.6:
            await self._exchange_good(self._chance.choice(self._keys.good), must_work)
        else:
            place = self._chance.randrange(min(_NEXT_DOOMED, len(self._keys.doomed)))
            key = self._keys.doomed[place]
            issued = await self._exchange(key)
            if isinstance(issued, Issued):
                self._doomed_tokens[key].append(issued)

    async def _exchange(self, key: str) -> Issued | Refused:
        answer = await _ask_for_token(self._stage.session, self._any_url(), key)
        self.statuses[200 if isinstance(answer, Issued) else answer.status] += 1
        return answer

    async def _exchange_good(self, key: str, must_work: Callable[[], bool]) -> None:
        had_to_work = must_work()
        issued = await self._exchange(key)
        if isinstance(issued, Issued):
            self.recent.append(issued)
        elif issued.status == 401:
            self.faults.note("a good key was answered 401", issued.text)
        elif had_to_work and must_work():
            note = self.faults.note_late if issued.took_too_long else self.faults.note
            note("a good key was refused", issued)

    async def _exchange_revoked(self, revoked: Acknowledged) -> None:
        if revoked.key is None:
            return
        issued = await self._exchange(revoked.key)
        if isinstance(issued, Issued):
            self.faults.note("a revoked key got a token", (revoked.kind, revoked.value))

    async def _exchange_limited(self, key: str) -> None:
        issued = await self._exchange(key)
        if not isinstance(issued, Issued):
            return
        window = self._keys.find_window(key, issued.claims["iat"])
        self._limited_counts[key, window] += 1
        if self._limited_counts[key, window] > window.limit:
            self.faults.note("more than a limit", window)

    async def _revoke_any(self, database: Database, number: int) -> None:
        kind = ("jti", "key", "account")[number % 3]
        if kind == "jti":
            if self.recent:
                await self._revoke_by_holder(kind, [self.recent.popleft()], key=None)
            return
        if self.is_quiet and kind == "account":
            return
        first = list(islice(self._keys.doomed, _NEXT_DOOMED))
        key = next((key for key in first if self._doomed_tokens[key]), None)
        if key is None:
            return
        self._keys.doomed.remove(key)
        tokens = self._doomed_tokens[key]
        if kind == "key":
            await self._revoke_by_holder(kind, tokens, key=key)
            return
        account_id = tokens[0].claims["sub"]
        try:
            await end_account(database, account_id, "account_suspended", actor=Actor(name="bench"))
        except TokensvcError:
            self.unknown_outcomes += 1
        else:
            self._acknowledge(kind, account_id, tokens, key)

    async def _revoke_by_holder(
        self, kind: str, tokens: Sequence[Issued], *, key: str | None
    ) -> None:
        value = tokens[0].claims["client_id" if key else "jti"]
        form = {"token": key or tokens[0].text}
        try:
            async with self._stage.session.post(
                f"{self._any_url()}/v1/revoke", data=form, timeout=_PATIENCE
            ) as answer:
                is_acknowledged = answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            is_acknowledged = False
        if is_acknowledged:
            self._acknowledge(kind, value, tokens, key)
        else:
            self.unknown_outcomes += 1

    def _acknowledge(
        self, kind: str, value: str, tokens: Sequence[Issued], key: str | None
    ) -> None:
        self.acknowledged.append(Acknowledged(kind, value, tuple(tokens), key, time.monotonic()))


async def _ask_for_token(session: aiohttp.ClientSession, url: str, key: str) -> Issued | Refused:
    asked_on = time.monotonic()
    headers = {"Authorization": f"Bearer {key}"}
    try:
        async with session.post(f"{url}/v1/token", headers=headers, timeout=_PATIENCE) as answer:
            body = await answer.json()
            if answer.status != 200:
                return Refused(answer.status, str(body))
            return read_token(body["access_token"], key, asked_on)
    except (aiohttp.ClientError, TimeoutError) as error:
        return Refused(0, repr(error))


def _keep_few() -> deque[Issued]:
    return deque(maxlen=_TOKENS_KEPT)
