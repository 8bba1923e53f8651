"""`TokenSource` gives tokens to asyncio programs.

All event loops share the tokens. An exchange belongs to the event loop that started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
import weakref
from typing import TYPE_CHECKING, Self

from tokensvc.client._after_fork import repair_in_children
from tokensvc.client._exchanger import Exchanger
from tokensvc.client._failure import Failure
from tokensvc.client._key_reader import build_reader
from tokensvc.client._key_rotation import build_rotation
from tokensvc.client._options import ExchangeOptions
from tokensvc.client._state import State

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable
    from pathlib import Path
    from types import TracebackType
    from typing import TypeAlias

    from tokensvc.client._key_reader import KeyFunction
    from tokensvc.client._plan import HeldToken
    from tokensvc.client._wanted import Wanted

    Flight: TypeAlias = asyncio.Task[HeldToken | Failure]

_log = logging.getLogger("tokensvc.client")


class TokenSource:
    """Gives the tokens of one issuer for one API key, by audience and scope.

    `api_key` is the key itself, a Path to the file that holds it, KeyFromEnvironment(name), or a
    function (async or not) that returns it. If it is left out, the environment variable
    TOKENSVC_API_KEY is read. `audience` and `scope` are for callers that do not name theirs.
    `rotate_every`, like "30d", lets the key in a file rotate itself when the file is that old; the
    successor takes its place. `expires_in` asks for a shorter life, in seconds. `timeout` is the
    time for one response of the issuer, and `patience` the time for all tries of an exchange, both
    in seconds. `tls` is for an issuer with a private CA. `allow_http` takes an issuer without TLS
    in a network of your own, for a trial. `clock` (monotonic seconds), `sleep` and `chance` (a
    random number from 0 to 1) are for tests.

    The constructor raises ValueError, or KeyUnreadableError for a value that is not an API key.
    """

    def __init__(
        self,
        *,
        issuer: str,
        api_key: str | Path | KeyFunction | None = None,
        rotate_every: str | None = None,
        audience: str | None = None,
        scope: str | None = None,
        expires_in: int | None = None,
        timeout: float = 10.0,
        patience: float = 30.0,
        tls: ssl.SSLContext | None = None,
        allow_http: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._options = ExchangeOptions(
            issuer=issuer,
            audience=audience,
            scope=scope,
            expires_in=expires_in,
            timeout=timeout,
            patience=patience,
            tls=tls,
            allow_http=allow_http,
            clock=clock,
            chance=chance,
        )
        self._reader = build_reader(api_key)
        self._rotation = build_rotation(self._options, api_key, rotate_every)
        self._exchanger = Exchanger(self._options, self._reader, sleep)
        self._state = State(self._options)
        # The exchanges that run now. An entry goes when its event loop goes.
        self._flights: weakref.WeakKeyDictionary[
            asyncio.AbstractEventLoop, dict[Wanted, Flight]
        ] = weakref.WeakKeyDictionary()
        repair_in_children(self, TokenSource._forget_flights)

    def __repr__(self) -> str:
        """Return issuer, place and hint of the API key, and the number of tokens held."""
        hint = f", hint {self._reader.hint}" if self._reader.hint else ""
        return (
            f"<{type(self).__name__} issuer={self._options.issuer!r} "
            f"api_key={self._reader.place}{hint}, tokens held: {self._state.count()}>"
        )

    async def __aenter__(self) -> Self:
        """Return the source. Nothing starts here: the first caller gets the first token."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the source."""
        await self.close()

    async def get_token(self, *, audience: str | None = None, scope: str | None = None) -> str:
        """Return a good token, and ask the issuer for one if it is time to.

        Raises ExchangeRefusedError, IssuerUnavailableError, KeyRejectedError, KeyUnreadableError,
        RateLimitedByIssuerError, SourceClosedError; ValueError for an empty audience or scope.
        """
        wanted = self._state.parse_wanted(audience, scope)
        plan = self._state.plan(wanted)
        outcome = None
        if plan.refresh:
            flight = self._join(wanted)
            # Without a wait the caller has a good token, and the exchange goes on behind it.
            if plan.wait:
                # Unlike `wait_for`, this does not cancel the exchange when the caller gives up.
                await asyncio.wait({flight}, timeout=min(plan.wait, self._options.longest_wait))
            outcome = flight.result() if flight.done() and not flight.cancelled() else None
        return self._state.settle(plan, outcome)

    def drop_token(
        self, token: str, *, audience: str | None = None, scope: str | None = None
    ) -> bool:
        """Note that a relying party refused `token`.

        Returns whether the request is worth repeating with another token.
        """
        return self._state.drop(self._state.parse_wanted(audience, scope), token)

    async def close(self) -> None:
        """Forget the tokens and end the exchanges that run; callers that wait stop waiting."""
        self._state.close()
        here = asyncio.get_running_loop()
        # Of copies, because an exchange that ends takes itself out.
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
        if self._rotation is not None:
            await self._rotation.finish()

    def _join(self, wanted: Wanted) -> Flight:
        """Return the exchange that runs for `wanted` in this event loop; start one if none does.

        It is a task of its own, so a caller that is cancelled does not end it for the others.
        """
        flights = self._flights.setdefault(asyncio.get_running_loop(), {})
        if wanted not in flights:
            flights[wanted] = asyncio.create_task(self._exchange(wanted, flights))
        return flights[wanted]

    async def _exchange(self, wanted: Wanted, flights: dict[Wanted, Flight]) -> HeldToken | Failure:
        try:
            outcome = await self._exchanger.exchange(wanted, rejected=self._state.rejected)
            if isinstance(outcome, Failure):  # callers do not see it while the old token is good
                _log.warning("no new token from %s: %s", self._options.issuer, outcome.message)
            self._state.keep(wanted, outcome)
            if self._rotation is not None:
                self._rotation.begin_if_due()
            return outcome
        finally:
            del flights[wanted]

    def _forget_flights(self) -> None:
        """In a forked child: forget the exchanges of the parent, which do not end here."""
        self._flights.clear()
        if self._rotation is not None:
            self._rotation.forget()
