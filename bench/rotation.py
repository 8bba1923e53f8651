"""Does a rotation ever make a verifier refuse a good token, and how long does a stolen signing key live?

    python -m bench.rotation rotations [--count 60]     rotations squeezed into seconds, under load, seen by caches at their full age
    python -m bench.rotation compromise                 `signing-key revoke` to refusal at followers, and to the first fresh token

Both start their own services in temporary folders.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp
from testbed.keys import add_keys
from testbed.ports import find_free_port
from testbed.processes import ServiceProcess

from bench.installation import database_of, running_service
from tokensvc.core.errors import BearerError, InvalidTokenError
from tokensvc.core.jwks import ALGORITHMS, parse_jwks
from tokensvc.core.token import parse_unverified
from tokensvc.core.verification import check_token
from tokensvc.issuer.database import open_database
from tokensvc.issuer.signing.emergency import revoke_signing_key_now
from tokensvc.issuer.signing.master_key import load_master_key
from tokensvc.logs.configuration import configure_logs
from tokensvc.settings import load_settings
from tokensvc.verify import Verifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tokensvc.core.identifier import Kid
    from tokensvc.core.jwks import VerifyingKey

_AUDIENCE: Final = "api"
_CACHE_SECONDS: Final = 2.0  # max-age and what verifiers keep anyway: all that the policy allows
_POLICY: Final = {
    "TOKENSVC_JWKS_MAX_AGE": "1",
    "TOKENSVC_VERIFIER_CACHE": "1",
    "TOKENSVC_ROTATION_MARGIN": "0",
    "TOKENSVC_ROTATION_PERIOD": "3",
    "TOKENSVC_TOKEN_TTL": "1",
    "TOKENSVC_MAX_TOKEN_TTL": "1",
    "TOKENSVC_LOG_LEVEL": "warning",
}
_SCALED: Final = (sys.executable, "-m", "bench.scaled")


@dataclass(slots=True)
class Tally:
    """What was seen."""

    checks: int = 0
    failures: list[str] = field(default_factory=list)
    kids: dict[str, None] = field(default_factory=dict)
    most_published: int = 0


class FullAgeCache:
    """A verifier that fetches the JWKS as rarely as the policy allows, and never for an unknown kid."""

    def __init__(self) -> None:
        self.keys: dict[Kid, VerifyingKey] = {}

    async def run(self, session: aiohttp.ClientSession, url: str, tally: Tally) -> None:
        """Refresh at full age until cancelled."""
        while True:
            async with session.get(f"{url}/.well-known/jwks.json") as answer:
                document = await answer.read()
            self.keys = parse_jwks(document)
            tally.most_published = max(tally.most_published, len(self.keys))
            await asyncio.sleep(_CACHE_SECONDS)

    def verify(self, token: str, issuer: str) -> None:
        """Raise InvalidTokenError for a token that is not good."""
        unverified = parse_unverified(token)
        check_token(
            unverified,
            key=self.keys.get(unverified.kid),
            algorithms=ALGORITHMS,
            issuer=issuer,
            audience=_AUDIENCE,
            now=time.time(),
            leeway=1.0,
        )


@contextmanager
def _replicas() -> Iterator[tuple[list[ServiceProcess], list[str]]]:
    """Run two services on one database, with the policy scaled to seconds."""
    port = find_free_port()
    issuer = {"TOKENSVC_ISSUER": f"http://127.0.0.1:{port}"}
    environment = {"TOKENSVC_PORT": str(port), **issuer, **_POLICY}
    with running_service(1, environment, command=_SCALED) as first, database_of(first) as (url, _):
        keys = add_keys(url, 8)
        shared = {"TOKENSVC_DATABASE_URL": url, "TOKENSVC_KEYS_DIR": str(first.folder / "keys")}
        with tempfile.TemporaryDirectory(prefix="tokensvc-bench-") as name:
            second = ServiceProcess(
                Path(name), (), {**shared, **issuer, **_POLICY}, command=_SCALED
            )
            try:
                second.wait_until_ready()
                yield [first, second], keys
            finally:
                second.stop()


async def _use(
    session: aiohttp.ClientSession,
    url: str,
    issuer: str,
    key: str,
    verifiers: Sequence[object],
    tally: Tally,
) -> None:
    """Exchange and verify, at once and once more near the end of the token's life, until cancelled."""
    while True:
        async with session.post(
            f"{url}/v1/token", headers={"Authorization": f"Bearer {key}"}
        ) as answer:
            body = await answer.json()
        if answer.status != 200:
            tally.failures.append(f"exchange: {answer.status} {body}")
            continue
        token = body["access_token"]
        tally.kids[parse_unverified(token).kid] = None
        for pause in (0.0, 0.5):
            await asyncio.sleep(pause)
            for verifier in verifiers:
                tally.checks += 1
                try:
                    verifier.verify(token, issuer) if isinstance(
                        verifier, FullAgeCache
                    ) else verifier.verify(token)  # type: ignore[attr-defined]
                except BearerError as error:
                    tally.failures.append(f"{type(verifier).__name__}: {error.reason}")


async def _rotate(services: Sequence[ServiceProcess], keys: Sequence[str], count: int) -> Tally:
    tally, issuer = Tally(), services[0].url
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        caches = [FullAgeCache() for _ in range(6)]
        verifiers: list[object] = [*caches]
        for service in services:
            verifier = Verifier(
                issuer=issuer,
                audience=_AUDIENCE,
                leeway=1.0,
                jwks_url=f"{service.url}/.well-known/jwks.json",
                denylist_url=f"{service.url}/v1/denylist",
            )
            verifiers.append(await stack.enter_async_context(verifier))
        async with asyncio.TaskGroup() as group:
            tasks = []
            for number, cache in enumerate(caches):
                await asyncio.sleep(_CACHE_SECONDS / len(caches))  # caches of every age
                tasks.append(group.create_task(cache.run(session, services[number % 2].url, tally)))
            await asyncio.sleep(0.2)
            tasks += [
                group.create_task(
                    _use(session, services[number % 2].url, issuer, key, verifiers, tally)
                )
                for number, key in enumerate(keys)
            ]
            while len(tally.kids) <= count:  # noqa: ASYNC110 - as long as it takes
                await asyncio.sleep(0.2)
            for task in tasks:
                task.cancel()
    return tally


def rotations(count: int) -> bool:
    """Let the keys rotate by themselves, and see whether anybody ever refuses a good token."""
    started = time.monotonic()
    with _replicas() as (services, keys):
        tally = asyncio.run(_rotate(services, keys, count))
    seconds = time.monotonic() - started
    print(
        f"{len(tally.kids) - 1} rotations in {seconds:.0f} s, {tally.checks} verifications by 6 caches at full age and 2 followers"
    )
    print(
        f"false rejections {len(tally.failures)} {tally.failures[:3]}; most keys published at once {tally.most_published}"
    )
    return not tally.failures and tally.most_published <= 3


async def _compromise(
    process: ServiceProcess, url: str, key: str, rounds: int, followers: int
) -> tuple[list[float], list[float]]:
    environment = {
        "TOKENSVC_DATABASE_URL": url,
        "TOKENSVC_KEYS_DIR": str(process.folder / "keys"),
        "TOKENSVC_PORT": str(process.port),
    }
    settings = load_settings(environment)
    database = await open_database(url, max_size=2)
    refused: list[float] = []
    fresh: list[float] = []
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        verifiers = [
            await stack.enter_async_context(Verifier(issuer=process.url, audience=_AUDIENCE))
            for _ in range(followers)
        ]

        async def exchange() -> str:
            async with session.post(
                f"{process.url}/v1/token", headers={"Authorization": f"Bearer {key}"}
            ) as answer:
                return str((await answer.json())["access_token"])

        for _ in range(rounds):
            stolen = await exchange()
            for verifier in verifiers:
                verifier.verify(stolen)
            master_key = await load_master_key(database, settings)
            await revoke_signing_key_now(
                database, settings, master_key, parse_unverified(stolen).kid, actor="bench"
            )
            began = time.monotonic()
            waiting, has_fresh = list(verifiers), False
            while waiting or not has_fresh:
                waiting = [verifier for verifier in waiting if _accepts(verifier, stolen)]
                if not waiting and len(refused) == len(fresh):
                    refused.append(time.monotonic() - began)
                if not has_fresh and all(
                    _accepts(verifier, token)
                    for token in [await exchange()]
                    for verifier in verifiers
                ):
                    has_fresh = True
                    fresh.append(time.monotonic() - began)
                    if not waiting and len(refused) < len(fresh):
                        refused.append(fresh[-1])
                await asyncio.sleep(0.001)
            await asyncio.sleep(
                1.2
            )  # followers fetch the new standby: an emergency a second is not the promise
    await database.close()
    return refused, fresh


def _accepts(verifier: Verifier, token: str) -> bool:
    try:
        verifier.verify(token)
    except InvalidTokenError:
        return False
    return True


def compromise(rounds: int = 20, followers: int = 20) -> bool:
    """Revoke the signing key again and again."""
    configure_logs("error")
    with (
        running_service(1, {"TOKENSVC_JWKS_MAX_AGE": "1"}) as process,
        database_of(process) as (url, _),
    ):
        refused, fresh = asyncio.run(
            _compromise(process, url, add_keys(url, 1)[0], rounds, followers)
        )
    for what, times in (
        ("refused by the last of them", refused),
        ("fresh tokens accepted by all", fresh),
    ):
        times.sort()
        figures = f"p50 {1e3 * times[len(times) // 2]:.0f} ms, max {1e3 * times[-1]:.0f} ms"
        print(f"{rounds} revocations, {followers} followers, {what}: {figures}")
    return refused[-1] <= 1 and fresh[-1] <= 1


def main() -> int:
    """Measure what is asked for, or both."""
    parser = argparse.ArgumentParser(prog="python -m bench.rotation")
    parser.add_argument("proof", nargs="?", choices=["rotations", "compromise"])
    parser.add_argument("--count", type=int, default=60)
    options = parser.parse_args()
    kept = {}
    if options.proof != "compromise":
        kept["rotations"] = rotations(options.count)
    if options.proof != "rotations":
        kept["compromise"] = compromise()
    print(json.dumps(kept))
    return 0 if all(kept.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
