"""How long a stolen signing key lives: from its revocation to the last follower's refusal."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import aiohttp
from testbed.keys import add_keys
from testbed.waiting import until

from bench.installation import database_of, running_service
from tokensvc.core.actor import Actor
from tokensvc.core.errors import InvalidTokenError
from tokensvc.core.token import parse_unverified
from tokensvc.issuer.database import open_database
from tokensvc.issuer.signing.emergency import revoke_signing_key_now
from tokensvc.issuer.signing.master_key import load_master_key
from tokensvc.logs.configuration import configure_logs
from tokensvc.settings import load_settings
from tokensvc.verify import Verifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from testbed.processes import ServiceProcess

    from tokensvc.settings import Settings
    from tokensvc.store.pool import Database

_AUDIENCE: Final = "api"
_PAUSE: Final = 1.2  # followers fetch the new standby: an emergency a second is not the promise


@dataclass(slots=True)
class _Stage:
    """What the rounds are played on, and the seconds that were seen."""

    database: Database
    settings: Settings
    session: aiohttp.ClientSession
    verifiers: Sequence[Verifier]
    url: str
    key: str
    refused: list[float] = field(default_factory=list)
    fresh: list[float] = field(default_factory=list)

    async def exchange(self) -> str:
        """Return a token."""
        headers = {"Authorization": f"Bearer {self.key}"}
        async with self.session.post(f"{self.url}/v1/token", headers=headers) as answer:
            return str((await answer.json())["access_token"])

    async def play(self) -> None:
        """Revoke the key that signs; note how long its tokens live, and until new ones are good."""
        stolen = await self.exchange()
        for verifier in self.verifiers:
            verifier.verify(stolen)
        master_key = await load_master_key(self.database, self.settings)
        kid = parse_unverified(stolen).kid
        await revoke_signing_key_now(
            self.database, self.settings, master_key, kid, actor=Actor(name="bench")
        )
        began = time.monotonic()
        refused = asyncio.create_task(self._time_refusal(stolen, began))
        await until(self._takes_fresh_tokens)
        self.fresh.append(time.monotonic() - began)
        self.refused.append(await refused)
        await asyncio.sleep(_PAUSE)

    async def _takes_fresh_tokens(self) -> bool:
        token = await self.exchange()
        return all(_accepts(verifier, token) for verifier in self.verifiers)

    async def _time_refusal(self, token: str, began: float) -> float:
        await until(lambda: not any(_accepts(verifier, token) for verifier in self.verifiers))
        return time.monotonic() - began


def _accepts(verifier: Verifier, token: str) -> bool:
    try:
        verifier.verify(token)
    except InvalidTokenError:
        return False
    return True


async def _play(
    process: ServiceProcess, url: str, key: str, rounds: int, followers: int
) -> tuple[list[float], list[float]]:
    settings = load_settings(
        {
            "TOKENSVC_DATABASE_URL": url,
            "TOKENSVC_KEYS_DIR": str(process.folder / "keys"),
            "TOKENSVC_PORT": str(process.port),
        }
    )
    database = await open_database(url, max_size=2)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        verifiers = [
            await stack.enter_async_context(Verifier(issuer=process.url, audience=_AUDIENCE))
            for _ in range(followers)
        ]
        stage = _Stage(database, settings, session, verifiers, process.url, key)
        for _ in range(rounds):
            await stage.play()
    await database.close()
    return sorted(stage.refused), sorted(stage.fresh)


def compromise(rounds: int = 20, followers: int = 20) -> bool:
    """Revoke the signing key again and again; return whether both took at most a second."""
    configure_logs("error")
    with (
        running_service(1, {"TOKENSVC_JWKS_MAX_AGE": "1"}) as process,
        database_of(process) as (url, _),
    ):
        (key,) = add_keys(url, 1)
        refused, fresh = asyncio.run(_play(process, url, key, rounds, followers))
    for what, times in (("refused by the last", refused), ("fresh tokens good for all", fresh)):
        figures = f"p50 {1e3 * times[len(times) // 2]:.0f} ms, max {1e3 * times[-1]:.0f} ms"
        print(f"{rounds} revocations, {followers} followers, {what}: {figures}")
    return refused[-1] <= 1 and fresh[-1] <= 1
