"""Is a revocation that was acknowledged ever lost when Postgres fails over?

    python -m bench.failover [--rounds 20]            asynchronous standby: what it lacked is lost, one of two processes survives and heals
    python -m bench.failover --sync [--rounds 20]     synchronous standby: nothing survives but Postgres

Each round: two service processes on a URL with two hosts; keys and tokens are revoked through both. Replication is cut, more is revoked and
acknowledged, then primary and one process (with --sync both, and nothing is cut) are killed, the standby is promoted, and at once somebody
revokes something else, which gets a number for the second time. Every round is printed; a bad one makes the exit code 1.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp
from tests.processes import ServiceProcess, find_free_port

from bench.cluster import Cluster
from bench.installation import add_keys_to
from tokensvc.core.api_key import parse_api_key
from tokensvc.core.errors import InvalidTokenError
from tokensvc.issuer.database import open_database
from tokensvc.issuer.revoking.watermarks import revoke_key
from tokensvc.logs.configuration import configure_logs
from tokensvc.store.api_key import find_id_by_digest
from tokensvc.verify import Verifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_AUDIENCE: Final = "api"
_GIVE_UP_SECONDS: Final = 5.0
_FOLLOWERS: Final = 3  # per process
_POLL: Final = 0.01


@dataclass(slots=True)
class Round:
    """What was seen in one round; `faults` empty: all is well."""

    faults: list[str] = field(default_factory=list)
    lost: int = 0  # acknowledged, and not in Postgres after the promotion
    acknowledged: int = 0
    times: dict[str, float] = field(default_factory=dict)

    def note(self, what: str, seconds: float | None) -> None:
        """Take note how long something took; None: it never came."""
        if seconds is None:
            self.faults.append(f"{what}: not within {_GIVE_UP_SECONDS:.0f} s")
        else:
            self.times[what] = seconds


@dataclass(slots=True)
class Client:
    """Whoever exchanges and revokes at one of the processes."""

    session: aiohttp.ClientSession
    url: str

    async def exchange(self, key: str) -> str | None:
        """Return a token, None if the key is refused. Tries again while the service cannot tell."""
        give_up_on = time.monotonic() + _GIVE_UP_SECONDS
        while time.monotonic() < give_up_on:
            try:
                async with self.session.post(
                    f"{self.url}/v1/token", headers={"Authorization": f"Bearer {key}"}
                ) as answer:
                    if answer.status == 200:
                        return str((await answer.json())["access_token"])
                    if answer.status == 401:
                        return None
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(_POLL)
        raise RuntimeError("no answer to an exchange")

    async def revoke(self, credential: str) -> None:
        """Return when the revocation is acknowledged."""
        async with self.session.post(f"{self.url}/v1/revoke", data={"token": credential}) as answer:
            answer.raise_for_status()


@dataclass(slots=True)
class Stage:
    """What a round plays on."""

    cluster: Cluster
    services: list[ServiceProcess]
    session: aiohttp.ClientSession
    synchronous: bool

    def client(self, number: int) -> Client:
        """Return a client of one of the two processes."""
        return Client(self.session, self.services[number].url)

    def verifier(self, number: int) -> Verifier:
        """Return a follower of one of the two processes, not started."""
        url = self.services[number].url
        issuer = self.services[0].url
        return Verifier(
            issuer=issuer,
            audience=_AUDIENCE,
            jwks_url=f"{url}/.well-known/jwks.json",
            denylist_url=f"{url}/v1/denylist",
        )


@contextmanager
def _services(cluster: Cluster) -> Iterator[list[ServiceProcess]]:
    """Run two service processes on both hosts of the cluster."""
    with tempfile.TemporaryDirectory(prefix="tokensvc-bench-") as name:
        port = find_free_port()
        shared = {
            "TOKENSVC_DATABASE_URL": cluster.url,
            "TOKENSVC_KEYS_DIR": f"{name}/keys",
            "TOKENSVC_ISSUER": f"http://127.0.0.1:{port}",
            "TOKENSVC_LOG_LEVEL": "warning",
        }
        started: list[ServiceProcess] = []
        try:
            for number, environment in enumerate(({"TOKENSVC_PORT": str(port)}, {})):
                folder = Path(name) / str(number)
                folder.mkdir()
                started.append(ServiceProcess(folder, (), shared | environment))
                started[-1].wait_until_ready()
            yield started
        finally:
            for service in started:
                service.stop()


def refusal(verifier: Verifier, token: str) -> str | None:
    """Return why a follower refuses a token, None if it takes it."""
    try:
        verifier.verify(token)
    except InvalidTokenError as error:
        return error.reason
    return None


async def _until(condition: Callable[[], bool], *, since: float) -> float | None:
    while time.monotonic() < since + _GIVE_UP_SECONDS:
        if condition():
            return time.monotonic() - since
        await asyncio.sleep(_POLL)
    return None


async def _play(stage: Stage, number: int) -> Round:
    """Play one round; the process that dies alternates."""
    seen, cluster = Round(), stage.cluster
    dying, surviving = number % 2, 1 - number % 2
    await cluster.add_standby(synchronous=stage.synchronous)
    keys = await add_keys_to(cluster.primary.url, 10)
    tokens = [await stage.client(dying).exchange(key) for key in keys]
    good = [token for token in tokens if token is not None]
    if len(good) != len(keys):
        seen.faults.append("a fresh key was refused")
        return seen
    async with AsyncExitStack() as stack:
        followers = [
            await stack.enter_async_context(stage.verifier(at))
            for at in (dying, surviving)
            for _ in range(_FOLLOWERS)
        ]
        # keys 0-1 and tokens 2-3 reach the standby; keys 4-5 and tokens 6-7 do not; 8 is revoked after the failover; 9 stays good
        await _revoke(
            stage,
            seen,
            followers,
            [(dying, keys[0]), (surviving, keys[1]), (dying, good[2]), (surviving, good[3])],
            good[:4],
        )
        await cluster.wait_for_standby()
        if not stage.synchronous:
            await cluster.cut()
        await _revoke(
            stage, seen, followers, [(dying, keys[4]), (dying, good[6])], [good[4], good[6]]
        )
        await _revoke(stage, seen, [], [(surviving, keys[5]), (surviving, good[7])], [])
        cluster.primary.end(signal.SIGKILL)
        stage.services[dying].kill()
        if stage.synchronous:
            stage.services[surviving].kill()
        await cluster.promote()
        promoted_on = time.monotonic()
        await _look_after_failover(stage, seen, followers, keys, good, promoted_on, dying)
    return seen


async def _revoke(
    stage: Stage,
    seen: Round,
    followers: Sequence[Verifier],
    acts: Sequence[tuple[int, str]],
    tokens: Sequence[str],
) -> None:
    for at, credential in acts:
        await stage.client(at).revoke(credential)
        seen.acknowledged += 1
    if followers:
        since = time.monotonic()
        seen.note(
            "followers refuse, before",
            await _until(
                lambda: all(refusal(f, t) for f in followers for t in tokens), since=since
            ),
        )


async def _look_after_failover(
    stage: Stage,
    seen: Round,
    followers: Sequence[Verifier],
    keys: Sequence[str],
    tokens: Sequence[str],
    since: float,
    dying: int,
) -> None:
    if any(refusal(follower, token) is None for follower in followers for token in tokens[4:7:2]):
        seen.faults.append("a follower forgot what it had")
    await _count_lost_and_reuse(stage, seen, keys)
    if stage.synchronous:
        stage.services[1 - dying].start()
    survivor = stage.client(1 - dying)
    meanwhile: list[str] = []
    dead = [0, 1, 4, 5]
    while time.monotonic() < since + _GIVE_UP_SECONDS:
        got = [
            token
            for key in (keys[i] for i in dead)
            if (token := await survivor.exchange(key)) is not None
        ]
        meanwhile += got
        if not got:
            seen.times["keys refused"] = time.monotonic() - since
            break
    else:
        seen.faults.append("a revoked key is exchanged still")
    refused = [*tokens[:9], *meanwhile]
    mine = followers[_FOLLOWERS:]
    if not stage.synchronous:
        seen.note(
            "followers refuse, after",
            await _until(lambda: all(refusal(f, t) for f in mine for t in refused), since=since),
        )
    await _restart(stage, seen, followers, keys, tokens, refused, dying)


async def _count_lost_and_reuse(stage: Stage, seen: Round, keys: Sequence[str]) -> None:
    """Count what Postgres has lost, and give a number out again."""
    database = await open_database(stage.cluster.url, max_size=1)
    try:
        async with database.connection() as connection:
            ids = [await find_id_by_digest(connection, parse_api_key(key).digest) for key in keys]
            revoked = await connection.fetchval(
                "select count(*) from api_key where id = any ($1) and revoked_at is not null", ids
            )
        seen.lost = 4 - revoked
        await revoke_key(database, str(ids[8]), actor="bench")
    finally:
        await database.close()


async def _restart(
    stage: Stage,
    seen: Round,
    followers: Sequence[Verifier],
    keys: Sequence[str],
    tokens: Sequence[str],
    refused: Sequence[str],
    dying: int,
) -> None:
    """Start what was killed; whoever starts afterwards must know everything, and whoever stood at a lost number goes on."""
    stage.services[dying].start()
    for service in stage.services:
        service.wait_until_ready()
    restarted = stage.client(dying)
    if [i for i in (0, 1, 4, 5, 8) if await restarted.exchange(keys[i]) is not None]:
        seen.faults.append("a restarted process exchanges a revoked key")
    since = time.monotonic()
    async with AsyncExitStack() as stack:
        fresh = [await stack.enter_async_context(stage.verifier(at)) for at in (dying, 1 - dying)]
        everybody = [*followers, *fresh]
        seen.note(
            "fresh followers refuse",
            await _until(lambda: all(refusal(f, t) for f in fresh for t in refused), since=since),
        )
        seen.note(
            "all followers refuse",
            await _until(
                lambda: all(refusal(f, t) for f in everybody for t in refused), since=since
            ),
        )
        if not stage.synchronous:
            await _bring_back_the_old_primary(stage, seen, [keys[i] for i in (0, 1, 4, 5, 8)])
        news = await restarted.exchange(keys[9])
        for what, token in (("a token from before", tokens[9]), ("a new token", news or "")):
            taken = await _until(
                lambda token=token: not any(refusal(f, token) for f in everybody),  # type: ignore[misc]
                since=time.monotonic(),
            )
            seen.note(f"all followers take {what}", taken)


async def _bring_back_the_old_primary(stage: Stage, seen: Round, keys: Sequence[str]) -> None:
    """Have two primaries: a process that has seen the new one must not go back. One that starts now could not know."""
    await stage.cluster.bring_back_the_old_primary()
    for _ in range(20):
        for number in range(len(stage.services)):
            if [key for key in keys if await stage.client(number).exchange(key) is not None]:
                seen.faults.append("a revoked key is exchanged after the old primary came back")
        await asyncio.sleep(0.02)
    users = await stage.cluster.count_users_of_the_old_primary()
    if users:
        seen.faults.append(f"{users} connections to the old primary")


async def _main(rounds: int, *, synchronous: bool) -> int:
    bad, acknowledged, lost = 0, 0, 0
    worst: dict[str, float] = {}
    with Cluster() as cluster, _services(cluster) as services:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            stage = Stage(cluster, services, session, synchronous)
            for number in range(1, rounds + 1):
                seen = await _play(stage, number)
                bad += bool(seen.faults)
                acknowledged, lost = acknowledged + seen.acknowledged, lost + seen.lost
                worst = {
                    what: max(worst.get(what, 0.0), seen.times.get(what, 0.0))
                    for what in {**worst, **seen.times}
                }
                figures = ", ".join(
                    f"{what} {seconds:.2f} s" for what, seconds in seen.times.items()
                )
                print(
                    f"round {number}: {'; '.join(seen.faults) or 'good'}; Postgres had lost {seen.lost} keys; {figures}",
                    flush=True,
                )
    print(
        f"{'synchronous, all processes killed' if synchronous else 'asynchronous, one of two processes survives'}:"
    )
    print(
        f"  {rounds - bad} of {rounds} rounds good; {acknowledged} revocations acknowledged; Postgres alone had lost {lost} revoked keys"
    )
    print("  worst: " + ", ".join(f"{what} {seconds:.2f} s" for what, seconds in worst.items()))
    return 1 if bad else 0


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.failover")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument(
        "--sync",
        action="store_true",
        help="with a synchronous standby, and no process that survives",
    )
    options = parser.parse_args()
    configure_logs("critical")
    os.nice(10)
    return asyncio.run(_main(options.rounds, synchronous=options.sync))


if __name__ == "__main__":
    sys.exit(main())
