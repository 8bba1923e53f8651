"""Fixtures: an issuer, relying parties, a clock, and both kinds of token source behind one face."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from testbed.waiting import wait_until
from tests.unit.client.loopback import KEY, Clock, Issuer, RelyingParty

from tokensvc.client import ThreadedTokenSource, TokenSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    server = Issuer()
    yield server
    server.gate.set()
    server.stop()


@pytest.fixture
def party() -> Iterator[RelyingParty]:
    server = RelyingParty()
    yield server
    server.stop()


@pytest.fixture
def other_party() -> Iterator[RelyingParty]:
    server = RelyingParty()
    yield server
    server.stop()


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Loop:
    """An event loop that runs in a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    def stop(self) -> None:
        self.run(self.loop.shutdown_default_executor())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


@pytest.fixture
def loop() -> Iterator[Loop]:
    running = Loop()
    yield running
    running.stop()


class Face:
    """What the tests do with a token source of either kind."""

    source: TokenSource | ThreadedTokenSource

    def get(self, **wanted: Any) -> str:
        raise NotImplementedError

    def get_many(self, number: int) -> list[str]:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def get_until(self, token: str) -> None:
        """Ask until the source gives `token`, which comes from an exchange in the background."""
        wait_until(lambda: self.get() == token)


class Threaded(Face):
    """A ThreadedTokenSource, used from this thread and others."""

    def __init__(self, **options: Any) -> None:
        self.source: ThreadedTokenSource = ThreadedTokenSource(**options)

    def get(self, **wanted: Any) -> str:
        return self.source.get_token(**wanted)

    def get_many(self, number: int) -> list[str]:
        with ThreadPoolExecutor(number) as pool:
            return list(pool.map(lambda _: self.source.get_token(), range(number)))

    def close(self) -> None:
        self.source.close()


class Async(Face):
    """A TokenSource, used from an event loop in a thread."""

    def __init__(self, loop: Loop, **options: Any) -> None:
        self.source: TokenSource = TokenSource(**options)
        self._loop = loop

    def get(self, **wanted: Any) -> str:
        token: str = self._loop.run(self.source.get_token(**wanted))
        return token

    def get_many(self, number: int) -> list[str]:
        async def gather() -> list[str]:
            return await asyncio.gather(*(self.source.get_token() for _ in range(number)))

        tokens: list[str] = self._loop.run(gather())
        return tokens

    def close(self) -> None:
        self._loop.run(self.source.close())


@pytest.fixture(params=["TokenSource", "ThreadedTokenSource"])
def new_source(
    request: pytest.FixtureRequest, issuer: Issuer, clock: Clock, loop: Loop
) -> Iterator[Callable[..., Face]]:
    """Makes sources of both kinds for the issuer, on the clock."""
    made: list[Face] = []

    def make(**options: Any) -> Face:
        options = {
            "issuer": issuer.url,
            "api_key": KEY,
            "clock": clock,
            "sleep": clock.sleep,
            "chance": lambda: 0.5,
            **options,
        }
        is_async = request.param == "TokenSource"
        made.append(Async(loop, **options) if is_async else Threaded(**options))
        return made[-1]

    yield make
    issuer.gate.set()
    for source in made:
        source.close()
