"""Fixtures: an issuer, a relying party and a clock; each kind of token source behind one face, and each HTTP library behind one."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
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


class Threaded:
    """A ThreadedTokenSource."""

    def __init__(self, clock: Clock, **options: Any) -> None:
        self.source = ThreadedTokenSource(
            clock=clock, sleep=clock.sleep, chance=lambda: 0.5, **options
        )

    def get(self, **wanted: Any) -> str:
        return self.source.get_token(**wanted)

    def get_many(self, number: int) -> list[str]:
        with ThreadPoolExecutor(number) as pool:
            return list(pool.map(lambda _: self.source.get_token(), range(number)))

    def drop(self, token: str) -> bool:
        return self.source.drop_token(token)

    def wait_until_idle(self) -> None:
        for flight in list(self.source._flights.values()):
            flight.exception(10)

    def close(self) -> None:
        self.source.close()


class Async:
    """A TokenSource, used from an event loop in a thread."""

    def __init__(self, loop: Loop, clock: Clock, **options: Any) -> None:
        self.source = TokenSource(
            clock=clock, sleep=clock.sleep_async, chance=lambda: 0.5, **options
        )
        self._loop = loop

    def get(self, **wanted: Any) -> str:
        token: str = self._loop.run(self.source.get_token(**wanted))
        return token

    def get_many(self, number: int) -> list[str]:
        async def gather() -> list[str]:
            return await asyncio.gather(*(self.source.get_token() for _ in range(number)))

        tokens: list[str] = self._loop.run(gather())
        return tokens

    def drop(self, token: str) -> bool:
        return self.source.drop_token(token)

    def wait_until_idle(self) -> None:
        async def wait() -> None:
            flights = list(self.source._flights.get(asyncio.get_running_loop(), {}).values())
            if flights:
                await asyncio.wait(flights)

        self._loop.run(wait())

    def close(self) -> None:
        self._loop.run(self.source.close())


@pytest.fixture(params=["async", "threaded"])
def new_source(
    request: pytest.FixtureRequest, issuer: Issuer, clock: Clock, loop: Loop
) -> Iterator[Callable[..., Async | Threaded]]:
    """Makes sources of both kinds, for the issuer."""
    made: list[Async | Threaded] = []

    def make(**options: Any) -> Async | Threaded:
        options = {"issuer": issuer.url, "api_key": KEY, **options}
        made.append(
            Async(loop, clock, **options)
            if request.param == "async"
            else Threaded(clock, **options)
        )
        return made[-1]

    yield make
    issuer.gate.set()
    for source in made:
        source.close()
        source.wait_until_idle()
