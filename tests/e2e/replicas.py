"""Two services on one database, and what they are put through."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import jwt
from testbed.failover_stage import Client
from testbed.following import following
from testbed.keys import add_keys_to
from testbed.ports import find_free_port
from testbed.waiting import PATIENCE, until

from tests.e2e.calls import AUDIENCE, exchange, jwks, new_keys, try_exchange
from tokensvc.verify import Verifier

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from testbed.processes import ServiceProcess

    from tests.e2e.calls import Key


@dataclass(frozen=True)
class Pair:
    """Two services; the first is the issuer by name."""

    first: ServiceProcess
    second: ServiceProcess

    @property
    def admin_key(self) -> str:
        """The admin key that one of them has made at the first start."""
        is_first = "This is the first start" in self.first.output
        return (self.first if is_first else self.second).admin_key


def start_pair(start: Callable[..., ServiceProcess], database_url: str, keys_dir: str) -> Pair:
    """Start two at once."""
    port = find_free_port()
    common = {
        "TOKENSVC_DATABASE_URL": database_url,
        "TOKENSVC_ISSUER": f"http://127.0.0.1:{port}",
        "TOKENSVC_KEYS_DIR": keys_dir,
    }
    pair = Pair(start(TOKENSVC_PORT=str(port), **common), start(**common))
    for process in (pair.first, pair.second):
        process.wait_until_ready()
    return pair


async def find_tokens_after_revocations(pair: Pair, count: int) -> list[str]:
    """Revoke keys at the first and exchange them at the second; return those that got a token."""
    keys = await add_keys_to(pair.first.database_url, count)
    got: list[str] = []

    async def attempt(first: Client, second: Client, key: str) -> None:
        await first.revoke(key)
        if await second.exchange(key) is not None:
            got.append(key)

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PATIENCE)) as session:
        first, second = Client(session, pair.first.url), Client(session, pair.second.url)
        for start in range(0, len(keys), 4):
            await asyncio.gather(*(attempt(first, second, key) for key in keys[start : start + 4]))
    return got


@dataclass
class _Users:
    """Clients of both services that exchange and verify all the time."""

    verifier: Verifier
    stock: jwt.PyJWKClient  # has fetched the JWKS before the rotation, and keeps it
    issuer: str
    kids: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    stopped: bool = False

    async def use(self, url: str, key: Key) -> None:
        while not self.stopped:
            try:
                answer = await asyncio.to_thread(try_exchange, url, key.text)
                assert answer.status == 200, answer
                token = str(answer.json["access_token"])
                self.verifier.verify(token)
                self.kids.append(self.verify_from_the_cache(token))
            except Exception as error:  # noqa: BLE001 - each is a failure, whatever it is
                self.failures.append(repr(error))
            await asyncio.sleep(0.05)

    def verify_from_the_cache(self, token: str) -> str:
        kid: str = jwt.get_unverified_header(token)["kid"]
        (key,) = [key for key in self.stock.get_signing_keys() if key.key_id == kid]
        jwt.decode(token, key.key, algorithms=["ES256"], audience=AUDIENCE, issuer=self.issuer)
        return kid


async def rotate_under_load(pair: Pair, *, tokens: int) -> None:
    """Rotate while four clients verify; nobody may fail, before or after.

    `tokens`: how many are verified before the rotation, and again with the new key after it.
    """
    keys: Sequence[Key] = await asyncio.to_thread(new_keys, pair.first, 4)
    stock = jwt.PyJWKClient(f"{pair.first.url}/.well-known/jwks.json", lifespan=3600)
    await asyncio.to_thread(stock.get_jwk_set)
    async with following(Verifier(issuer=pair.first.url, audience=AUDIENCE)) as verifier:
        users = _Users(verifier, stock, pair.first.url)
        old = await asyncio.to_thread(exchange, pair.first.url, keys[0].text)
        urls = [pair.first.url, pair.second.url] * 2
        tasks = [
            asyncio.create_task(users.use(url, key)) for url, key in zip(urls, keys, strict=True)
        ]
        await until(lambda: len(users.kids) >= tokens)
        kid = await _rotate(pair.second)
        await until(lambda: users.failures or users.kids.count(kid) >= tokens)
        users.stopped = True
        await asyncio.gather(*tasks)
        assert users.failures == []
        assert set(users.kids) == {jwt.get_unverified_header(old)["kid"], kid}
        new = await asyncio.to_thread(exchange, pair.second.url, keys[0].text)
        for token in (old, new):
            assert verifier.verify(token).client_id == keys[0].id
            users.verify_from_the_cache(token)
    await until(lambda: jwks(pair.first.url) == jwks(pair.second.url))


async def _rotate(process: ServiceProcess) -> str:
    rotated = await asyncio.to_thread(process.cli, "signing-key", "rotate", "-o", "json")
    assert rotated.returncode == 0, rotated.stderr
    row: dict[str, Any] = json.loads(rotated.stdout)
    return str(row["kid"])
