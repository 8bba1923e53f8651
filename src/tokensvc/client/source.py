"""`TokenSource`: tokens for asyncio. It keeps them, refreshes them early and asks the issuer once for all who wait.

When and why is decided in `plan` and `flow`; here it is done. Tokens are shared by all event loops; exchanges in flight belong to theirs.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import random
import time
import weakref
from typing import TYPE_CHECKING, Self

from tokensvc.client.api_key import build_reader, check_key, explain
from tokensvc.client.exchange import post_form
from tokensvc.client.flow import Ask, ReadKey
from tokensvc.client.state import Options, State

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable
    from pathlib import Path
    from types import TracebackType
    from typing import TypeAlias

    from tokensvc.client.api_key import KeyFunction
    from tokensvc.client.errors import Failure
    from tokensvc.client.flow import Reply, Step, Wanted
    from tokensvc.client.plan import HeldToken
    from tokensvc.core.api_key import ApiKey

    Flights: TypeAlias = dict[Wanted, asyncio.Task[HeldToken | Failure]]


class TokenSource:
    """Gives tokens of one issuer for one API key, by audience and scope.

    `api_key`: the key itself, a Path to the file that holds it, a function (also async) that returns it, KeyFromEnvironment(name); left
    out, the environment variable TOKENSVC_API_KEY. `audience`, `scope`: what a caller gets that does not say. `expires_in`: asks for a
    shorter life, in seconds. `timeout`: seconds for one answer of the issuer; `patience`: seconds for all tries. `tls`: for an issuer with
    a private CA. `clock`, `sleep`, `chance`: monotonic seconds, waiting, a random number from 0 to 1.
    """

    def __init__(
        self,
        *,
        issuer: str,
        api_key: str | Path | KeyFunction | None = None,
        audience: str | None = None,
        scope: str | None = None,
        expires_in: int | None = None,
        timeout: float = 10.0,
        patience: float = 30.0,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        options = Options(
            issuer=issuer, audience=audience, scope=scope, expires_in=expires_in, timeout=timeout, patience=patience, tls=tls, clock=clock,
            chance=chance,
        )  # fmt: skip
        self._flights: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Flights] = (
            weakref.WeakKeyDictionary()
        )
        self._state = State(options, build_reader(api_key), forget_flights=self._flights.clear)
        self._sleep = sleep

    def __repr__(self) -> str:
        """Show nothing secret."""
        return self._state.describe(type(self).__name__)

    async def __aenter__(self) -> Self:
        """Nothing to start: the first token is got when it is needed."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        await self.close()

    async def get_token(self, *, audience: str | None = None, scope: str | None = None) -> str:
        """Return a good token. Raises the errors of `tokensvc.client.errors`."""
        wanted = self._state.parse_wanted(audience, scope)
        plan = self._state.plan(wanted)
        outcome = None
        if plan.refresh:
            flight = self._join(wanted)
            if plan.wait:
                await asyncio.wait(
                    {flight}, timeout=min(plan.wait, self._state.options.longest_wait)
                )
            outcome = flight.result() if flight.done() and not flight.cancelled() else None
        return self._state.settle(plan, outcome)

    def drop_token(
        self, token: str, *, audience: str | None = None, scope: str | None = None
    ) -> bool:
        """Note that a relying party refused `token`, and return whether the request is worth repeating with another one."""
        return self._state.drop(self._state.parse_wanted(audience, scope), token)

    async def close(self) -> None:
        """Forget the tokens and end what is in flight."""
        self._state.close()
        here = asyncio.get_running_loop()
        for loop, flights in list(self._flights.items()):
            for task in list(flights.values()):
                if loop is here:
                    task.cancel()
                else:
                    with contextlib.suppress(RuntimeError):  # that loop is closed
                        loop.call_soon_threadsafe(task.cancel)
        own = list(self._flights.get(here, {}).values())
        if own:
            await asyncio.wait(own)

    def _join(self, wanted: Wanted) -> asyncio.Task[HeldToken | Failure]:
        """Return the exchange in flight for this, a new one if there is none. A caller that is cancelled does not end it for others."""
        flights = self._flights.setdefault(asyncio.get_running_loop(), {})
        if wanted not in flights:
            flights[wanted] = asyncio.create_task(self._exchange(wanted, flights))
        return flights[wanted]

    async def _exchange(self, wanted: Wanted, flights: Flights) -> HeldToken | Failure:
        try:
            flow, reply = self._state.start_flow(), None
            while True:
                try:
                    step = flow.send(reply)
                except StopIteration as stop:
                    outcome: HeldToken | Failure = stop.value
                    self._state.report(outcome)
                    self._state.keep(wanted, outcome)
                    return outcome
                reply = await self._perform(step, wanted)
        finally:
            del flights[wanted]

    async def _perform(self, step: Step, wanted: Wanted) -> Reply:
        if isinstance(step, ReadKey):
            return await self._read_key()
        options = self._state.options
        if isinstance(step, Ask):
            form = self._state.build_form(wanted)
            return await post_form(
                options.url,
                step.key,
                form,
                seconds=step.seconds,
                clock=options.clock,
                tls=options.tls,
            )
        await self._sleep(step.seconds)
        return None

    async def _read_key(self) -> ApiKey | Failure:
        reader = self._state.reader
        try:
            async with asyncio.timeout(self._state.options.timeout):
                text = await asyncio.to_thread(reader.read) if reader.may_block else reader.read()
                key = check_key(await text if inspect.isawaitable(text) else text, reader.place)
        except Exception as error:  # noqa: BLE001 - a function of the caller's may raise anything
            return self._state.build_key_failure(explain(error, reader.place))
        self._state.note_key(key.hint)
        return key
