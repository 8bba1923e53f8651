"""A load for a service that is going to be killed, and what must hold afterwards."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import aiohttp
from testbed.following import following
from testbed.waiting import PATIENCE, until

from tests.e2e.calls import (
    AUDIENCE,
    Key,
    exchange,
    is_refused,
    new_keys,
    try_exchange,
)
from tests.endings import revoke_key
from tests.integration.things import ACTOR, make_key
from tokensvc.core.errors import TokensvcError
from tokensvc.store.pool import open_database
from tokensvc.verify import Verifier

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.processes import ServiceProcess

    from tokensvc.store.pool import Database


class Load:
    """Exchanges, revocations of tokens and of keys, and new keys, all at once.

    `exchanges`: how many. One token is revoked for each ten of them, and one key for each twenty:
    every second one through the service, the others past it, as the command line does.
    """

    def __init__(self, process: ServiceProcess, *, exchanges: int) -> None:
        self.process = process
        self.keys = new_keys(process, 4)
        self.doomed = new_keys(process, exchanges // 20)
        self.tokens = [exchange(process.url, self._key(n).text) for n in range(exchanges // 10)]
        self.tokens_of = {key.text: exchange(process.url, key.text) for key in self.doomed}
        self.exchanged: list[str] = []
        self.revoked: set[str] = set()  # acknowledged
        self.made: list[str] = []  # acknowledged
        self.statuses: list[int] = []
        self._third = exchanges // 3
        self._exchanges = exchanges
        self._crash: Callable[[], None] = lambda: None
        self._has_revoked = asyncio.Event()

    def _key(self, number: int) -> Key:
        return self.keys[number % len(self.keys)]

    async def run(self, crash: Callable[[], None]) -> None:
        """Do everything; call `crash` when a third of the exchanges have been answered.

        Something was revoked before: on a slow disk, the rest of the exchanges waits for that.
        """
        self._crash = crash
        connector, timeout = aiohttp.TCPConnector(limit=10), aiohttp.ClientTimeout(PATIENCE)
        database = await open_database(self.process.database_url, max_size=2)
        async with aiohttp.ClientSession(
            self.process.url, connector=connector, timeout=timeout
        ) as session:
            acts = [self._exchange(session, number) for number in range(self._exchanges)]
            for number, token in enumerate(self.tokens):
                acts.insert(number * 11, self._revoke(session, token))
            for number, key in enumerate(self.doomed):
                if number % 2:
                    acts.append(self._revoke_past_it(database, key))
                else:
                    acts.insert(number * 20, self._revoke(session, key.text))
            acts.append(self._make_key(database))
            async with asyncio.timeout(2 * PATIENCE):
                await asyncio.gather(*acts)
        await database.close()

    async def _exchange(self, session: aiohttp.ClientSession, number: int) -> None:
        headers = {"Authorization": f"Bearer {self._key(number).text}"}
        if number >= self._third:
            await self._has_revoked.wait()
        with contextlib.suppress(aiohttp.ClientError, OSError):
            async with session.post("/v1/token", headers=headers) as answer:
                self.statuses.append(answer.status)
                if answer.status == 200:
                    self.exchanged.append((await answer.json())["access_token"])
                    if len(self.exchanged) == self._third:
                        await self._has_revoked.wait()
                        self._crash()

    async def _revoke(self, session: aiohttp.ClientSession, credential: str) -> None:
        with contextlib.suppress(aiohttp.ClientError, OSError):
            async with session.post("/v1/revoke", data={"token": credential}) as answer:
                self.statuses.append(answer.status)
                if answer.status == 200:
                    self._note_revoked(credential)

    async def _revoke_past_it(self, database: Database, key: Key) -> None:
        with contextlib.suppress(TokensvcError):
            await revoke_key(database, key.id, actor=ACTOR)
            self._note_revoked(key.text)

    def _note_revoked(self, credential: str) -> None:
        self.revoked.add(credential)
        self._has_revoked.set()

    async def _make_key(self, database: Database) -> None:
        with contextlib.suppress(TokensvcError):
            made = await make_key(database, account=self.keys[0].account)
            self.made.append(made.key.text)


async def check_survivors(load: Load) -> None:
    """All that was acknowledged holds, and all that was not touched works."""
    url = load.process.url
    async with following(Verifier(issuer=url, audience=AUDIENCE)) as verifier:
        for credential in load.revoked:
            token = load.tokens_of.get(credential, credential)
            await until(lambda token=token: is_refused(verifier, token))
            if credential in load.tokens_of:
                answer = await asyncio.to_thread(try_exchange, url, credential)
                assert answer.status == 401
        for token in load.exchanged:
            verifier.verify(token)
        for key in [*load.made, *(key.text for key in load.keys)]:
            verifier.verify(await asyncio.to_thread(exchange, url, key))


async def restart(process: ServiceProcess) -> None:
    """Start it again on its port, as soon as the workers that were left alone have let go."""
    await until(lambda: not process.is_ready())
    process.start()
    await asyncio.to_thread(process.wait_until_ready)
