"""Rounds of a failover: is a revocation that was acknowledged ever lost?

Each round: two service processes on a URL with two hosts; keys and tokens are revoked through both.
Replication is cut, more is revoked and acknowledged, then the primary and one process are killed
(with a synchronous standby both processes, and nothing is cut), the standby is promoted, and at
once somebody revokes something else, which gets a number for the second time.
"""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from testbed.following import following
from testbed.keys import add_keys_to
from testbed.waiting import PATIENCE, until
from tokensvc.core.actor import Actor
from tokensvc.core.api_key import parse_api_key
from tokensvc.core.errors import InvalidTokenError
from tokensvc.issuer.database import open_database
from tokensvc.issuer.revoking.endings import end_key
from tokensvc.store.api_key import find_id_by_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from testbed.failover_stage import Stage
    from tokensvc.verify import Verifier

_FOLLOWERS: Final = 3  # per process
# What becomes of the ten keys of a round, and of their tokens, by number: the first reach the
# standby, the second do not, one key is revoked after the failover, and one stays good.
_EARLY_KEYS, _EARLY_TOKENS = (0, 1), (2, 3)
_LATE_KEYS, _LATE_TOKENS = (4, 5), (6, 7)
_AFTERWARDS, _GOOD = 8, 9
_REVOKED_KEYS: Final = (*_EARLY_KEYS, *_LATE_KEYS)


@dataclass(slots=True)
class Round:
    """What was seen in one round; `faults` empty: all is well. `times`: seconds."""

    faults: list[str] = field(default_factory=list)
    lost: int = 0  # acknowledged, and not in Postgres after the promotion
    acknowledged: int = 0
    times: dict[str, float] = field(default_factory=dict)

    async def time(self, what: str, condition: Callable[..., bool], *, since: float) -> None:
        """Note how long after `since` (monotonic clock) the condition holds; never is a fault."""
        try:
            await until(condition)
        except TimeoutError:
            self.faults.append(f"{what}: not within {PATIENCE:.0f} s")
        else:
            self.times[what] = time.monotonic() - since


async def play(stage: Stage, number: int) -> Round:
    """Play one round; the process that dies alternates."""
    await stage.cluster.add_standby(synchronous=stage.synchronous)
    keys = await add_keys_to(stage.cluster.primary.url, 10)
    dying, surviving = number % 2, 1 - number % 2
    tokens = [await stage.client(dying).exchange(key) for key in keys]
    good = [token for token in tokens if token is not None]
    if len(good) != len(keys):
        return Round(faults=["a fresh key was refused"])
    async with AsyncExitStack() as stack:
        followers = [
            await stack.enter_async_context(following(stage.verifier(at)))
            for at in (dying, surviving)
            for _ in range(_FOLLOWERS)
        ]
        played = _Play(stage, keys, good, followers, dying, surviving)
        await played.revoke_before_the_crash()
        since = await played.crash()
        await played.look_at_the_survivor(since)
        await played.restart()
        return played.seen


def find_refusal(verifier: Verifier, token: str) -> str | None:
    """Return why a follower refuses a token, None if it takes it."""
    try:
        verifier.verify(token)
    except InvalidTokenError as error:
        return error.reason
    return None


def _all_refuse(followers: Sequence[Verifier], tokens: Sequence[str]) -> bool:
    return all(find_refusal(follower, token) for follower in followers for token in tokens)


@dataclass(slots=True)
class _Play:
    """One round while it is played."""

    stage: Stage
    keys: Sequence[str]
    tokens: Sequence[str]
    followers: Sequence[Verifier]
    dying: int
    surviving: int
    seen: Round = field(default_factory=Round)
    refused: list[str] = field(default_factory=list)

    async def revoke_before_the_crash(self) -> None:
        """Revoke keys and tokens that reach the standby, and others that do not."""
        (a, b), (c, d) = _EARLY_KEYS, _EARLY_TOKENS
        early = [(self.dying, self.keys[a]), (self.surviving, self.keys[b])]
        early += [(self.dying, self.tokens[c]), (self.surviving, self.tokens[d])]
        await self._revoke(early, wait_for=self.tokens[:4])
        await self.stage.cluster.wait_for_standby()
        if not self.stage.synchronous:
            await self.stage.cluster.cut()
        (a, b), (c, d) = _LATE_KEYS, _LATE_TOKENS
        late = [(self.dying, self.keys[a]), (self.dying, self.tokens[c])]
        await self._revoke(late, wait_for=[self.tokens[a], self.tokens[c]])
        await self._revoke([(self.surviving, self.keys[b]), (self.surviving, self.tokens[d])])

    async def _revoke(
        self, acts: Sequence[tuple[int, str]], *, wait_for: Sequence[str] = ()
    ) -> None:
        for at, credential in acts:
            await self.stage.client(at).revoke(credential)
            self.seen.acknowledged += 1
        if wait_for:
            await self.seen.time(
                "followers refuse, before",
                lambda: _all_refuse(self.followers, wait_for),
                since=time.monotonic(),
            )

    async def crash(self) -> float:
        """Kill the primary and one process or both, and promote the standby; return when."""
        self.stage.cluster.primary.end(signal.SIGKILL)
        self.stage.services[self.dying].kill()
        if self.stage.synchronous:
            self.stage.services[self.surviving].kill()
        await self.stage.cluster.promote()
        promoted_on = time.monotonic()
        known = [self.tokens[_LATE_KEYS[0]], self.tokens[_LATE_TOKENS[0]]]
        if not _all_refuse(self.followers, known):
            self.seen.faults.append("a follower forgot what it had")
        await self._count_lost_and_reuse_a_number()
        return promoted_on

    async def _count_lost_and_reuse_a_number(self) -> None:
        """Count what Postgres has lost, and give a number out again."""
        database = await open_database(self.stage.cluster.url, max_size=1)
        try:
            async with database.connection() as connection:
                ids = [
                    await find_id_by_digest(connection, parse_api_key(key).digest)
                    for key in self.keys
                ]
                revoked = await connection.fetchval(
                    "select count(*) from api_key where id = any ($1) and revoked_at is not null",
                    ids,
                )
            self.seen.lost = len(_REVOKED_KEYS) - revoked
            await end_key(
                database, str(ids[_AFTERWARDS]), "key_revoked", actor=Actor(name="failover")
            )
        finally:
            await database.close()

    async def look_at_the_survivor(self, since: float) -> None:
        """See the revoked keys refused by the process that survived, and their tokens too."""
        if self.stage.synchronous:
            self.stage.services[self.surviving].start()
        survivor, meanwhile = self.stage.client(self.surviving), list[str]()
        while time.monotonic() < since + PATIENCE:
            answers = [await survivor.exchange(self.keys[number]) for number in _REVOKED_KEYS]
            got = [token for token in answers if token is not None]
            meanwhile += got
            if not got:
                self.seen.times["keys refused"] = time.monotonic() - since
                break
        else:
            self.seen.faults.append("a revoked key is exchanged still")
        self.refused = [*self.tokens[:_GOOD], *meanwhile]
        if not self.stage.synchronous:
            mine = self.followers[_FOLLOWERS:]
            await self.seen.time(
                "followers refuse, after", lambda: _all_refuse(mine, self.refused), since=since
            )

    async def restart(self) -> None:
        """Start what was killed: it must know everything, and every follower must go on."""
        self.stage.services[self.dying].start()
        for service in self.stage.services:
            await asyncio.to_thread(service.wait_until_ready)
        restarted = self.stage.client(self.dying)
        ended = [self.keys[number] for number in (*_REVOKED_KEYS, _AFTERWARDS)]
        if [key for key in ended if await restarted.exchange(key) is not None]:
            self.seen.faults.append("a restarted process exchanges a revoked key")
        async with AsyncExitStack() as stack:
            fresh = [
                await stack.enter_async_context(following(self.stage.verifier(at)))
                for at in (self.dying, self.surviving)
            ]
            everybody, since = [*self.followers, *fresh], time.monotonic()
            for what, followers in (("fresh", fresh), ("all", everybody)):
                await self.seen.time(
                    f"{what} followers refuse",
                    lambda followers=followers: _all_refuse(followers, self.refused),
                    since=since,
                )
            if not self.stage.synchronous:
                await self._bring_back_the_old_primary(ended)
            news = await restarted.exchange(self.keys[_GOOD])
            for what, token in (("from before", self.tokens[_GOOD]), ("that is new", news or "")):
                await self.seen.time(
                    f"all followers take a token {what}",
                    lambda token=token: not any(find_refusal(f, token) for f in everybody),
                    since=time.monotonic(),
                )

    async def _bring_back_the_old_primary(self, ended: Sequence[str]) -> None:
        """Have two primaries: no process may go back to the old one."""
        await self.stage.cluster.bring_back_the_old_primary()
        clients = [self.stage.client(number) for number in range(len(self.stage.services))]
        for _ in range(20):
            # All at once: the refusal of a key that is asked for again and again comes late.
            asked = (client.exchange(key) for client in clients for key in ended)
            if any(await asyncio.gather(*asked)):
                self.seen.faults.append("a revoked key is exchanged at the old primary")
            await asyncio.sleep(0.02)
        users = await self.stage.cluster.count_users_of_the_old_primary()
        if users:
            self.seen.faults.append(f"{users} connections to the old primary")
