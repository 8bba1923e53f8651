"""Does a rotation ever make a verifier refuse a good token, and how long does a stolen key live?

    python -m bench.rotation rotations [--count 60]     rotations in seconds, under load, seen by
                                                        caches at their full age
    python -m bench.rotation compromise                 `signing-key revoke` to the last refusal,
                                                        and to the first fresh token

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
from typing import TYPE_CHECKING, Final, Protocol

import aiohttp
from testbed.keys import add_keys
from testbed.ports import find_free_port
from testbed.processes import ROOT, ServiceProcess
from testbed.waiting import until

from bench.compromise import compromise
from bench.installation import database_of, running_service
from tokensvc.core.algorithm import ALGORITHMS
from tokensvc.core.errors import BearerError
from tokensvc.core.jwks import parse_jwks
from tokensvc.core.token import parse_unverified
from tokensvc.core.verification import check_token
from tokensvc.verify import Verifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tokensvc.core.identifier import Kid
    from tokensvc.core.jwks import VerifyingKey

_AUDIENCE: Final = "api"
_CACHE_SECONDS: Final = 2.0  # max-age and verifier cache: all that the policy allows
_POLICY: Final = {
    "TOKENSVC_JWKS_MAX_AGE": "1",
    "TOKENSVC_VERIFIER_CACHE": "1",
    "TOKENSVC_ROTATION_MARGIN": "0",
    "TOKENSVC_ROTATION_PERIOD": "3",
    "TOKENSVC_TOKEN_TTL": "1",
    "TOKENSVC_MAX_TOKEN_TTL": "1",
    "TOKENSVC_LOG_LEVEL": "warning",
    "PYTHONPATH": str(ROOT),
}
_SCALED: Final = (sys.executable, "-m", "bench.scaled")
_LONGEST_SECONDS: Final = 3600.0


class _Verifies(Protocol):
    def verify(self, token: str) -> object:
        """Raise BearerError for a token that is not good."""


@dataclass(slots=True)
class Tally:
    """What was seen."""

    checks: int = 0
    failures: list[str] = field(default_factory=list)
    kids: dict[str, None] = field(default_factory=dict)
    most_published: int = 0


class FullAgeCache:
    """A verifier that fetches the JWKS as rarely as the policy allows, and never for a kid."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer
        self._keys: dict[Kid, VerifyingKey] = {}

    async def run(self, session: aiohttp.ClientSession, url: str, tally: Tally) -> None:
        """Refresh at full age until cancelled."""
        while True:
            async with session.get(f"{url}/.well-known/jwks.json") as answer:
                document = await answer.read()
            self._keys = parse_jwks(document)
            tally.most_published = max(tally.most_published, len(self._keys))
            await asyncio.sleep(_CACHE_SECONDS)

    def verify(self, token: str) -> object:
        """Raise InvalidTokenError for a token that is not good."""
        unverified = parse_unverified(token)
        return check_token(
            unverified,
            key=self._keys.get(unverified.kid),
            algorithms=ALGORITHMS,
            issuer=self._issuer,
            audiences=frozenset({_AUDIENCE}),
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
            told = {**shared, **issuer, **_POLICY}
            second = ServiceProcess(Path(name), (), told, command=_SCALED)
            try:
                second.wait_until_ready()
                yield [first, second], keys
            finally:
                second.stop()


async def _use(
    session: aiohttp.ClientSession,
    url: str,
    key: str,
    verifiers: Sequence[_Verifies],
    tally: Tally,
) -> None:
    """Exchange and verify until cancelled: at once, and again near the end of the token's life."""
    headers = {"Authorization": f"Bearer {key}"}
    while True:
        async with session.post(f"{url}/v1/token", headers=headers) as answer:
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
                    verifier.verify(token)
                except BearerError as error:
                    tally.failures.append(f"{type(verifier).__name__}: {error.reason}")


async def _rotate(services: Sequence[ServiceProcess], keys: Sequence[str], count: int) -> Tally:
    tally, issuer = Tally(), services[0].url
    caches = [FullAgeCache(issuer) for _ in range(6)]
    verifiers: list[_Verifies] = [*caches]
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
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
            for number, key in enumerate(keys):
                url = services[number % 2].url
                tasks.append(group.create_task(_use(session, url, key, verifiers, tally)))
            await until(lambda: len(tally.kids) > count, _LONGEST_SECONDS)
            for task in tasks:
                task.cancel()
    return tally


def rotations(count: int) -> bool:
    """Let the keys rotate by themselves; return whether nobody ever refused a good token."""
    started_on = time.monotonic()
    with _replicas() as (services, keys):
        tally = asyncio.run(_rotate(services, keys, count))
    seconds = time.monotonic() - started_on
    print(
        f"{len(tally.kids) - 1} rotations in {seconds:.0f} s, {tally.checks} verifications", end=""
    )
    print(" by 6 caches at full age and 2 followers")
    print(f"false rejections {len(tally.failures)} {tally.failures[:3]};", end=" ")
    print(f"most keys published at once {tally.most_published}")
    return not tally.failures and tally.most_published <= 3


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
