"""`ThreadedTokenSource`: the same as `TokenSource` for programs without asyncio, safe with threads.

An exchange runs in a thread of its own, so a caller that may go on with the old token does not wait, and one that is interrupted does not
take the answer away from others. Such a thread lives as long as the exchange.
"""

from __future__ import annotations

import inspect
import random
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Self

from tokensvc.client.api_key import build_reader, check_key, explain
from tokensvc.client.blocking_exchange import post_form
from tokensvc.client.errors import KeyUnreadableError
from tokensvc.client.flow import Ask, ReadKey
from tokensvc.client.state import Options, State

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType
    from typing import TypeAlias

    from tokensvc.client.api_key import KeyFunction
    from tokensvc.client.errors import Failure
    from tokensvc.client.flow import Reply, Step, Wanted
    from tokensvc.client.plan import HeldToken
    from tokensvc.core.api_key import ApiKey

    Flight: TypeAlias = Future[HeldToken | Failure]


class ThreadedTokenSource:
    """Gives tokens of one issuer for one API key, by audience and scope. Options as of `TokenSource`, but `api_key` is no async function.

    `sleep`: left out, waiting ends when the source is closed.
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
        sleep: Callable[[float], object] | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        options = Options(
            issuer=issuer, audience=audience, scope=scope, expires_in=expires_in, timeout=timeout, patience=patience, tls=tls, clock=clock,
            chance=chance,
        )  # fmt: skip
        self._flights: dict[Wanted, Flight] = {}
        self._state = State(options, build_reader(api_key), forget_flights=self._flights.clear)
        self._closing = threading.Event()
        self._sleep = sleep or self._closing.wait

    def __repr__(self) -> str:
        """Show nothing secret."""
        return self._state.describe(type(self).__name__)

    def __enter__(self) -> Self:
        """Nothing to start: the first token is got when it is needed."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def get_token(self, *, audience: str | None = None, scope: str | None = None) -> str:
        """Return a good token. Raises the errors of `tokensvc.client.errors`."""
        wanted = self._state.parse_wanted(audience, scope)
        with self._state.lock:  # or an exchange could end in between, and a second one begin
            plan = self._state.plan(wanted)
            flight = self._join(wanted) if plan.refresh else None
        outcome = None
        if flight is not None and plan.wait:
            try:
                outcome = flight.result(min(plan.wait, self._state.options.longest_wait))
            except TimeoutError:
                pass
        return self._state.settle(plan, outcome)

    def drop_token(
        self, token: str, *, audience: str | None = None, scope: str | None = None
    ) -> bool:
        """Note that a relying party refused `token`, and return whether the request is worth repeating with another one."""
        return self._state.drop(self._state.parse_wanted(audience, scope), token)

    def close(self) -> None:
        """Forget the tokens. Exchanges in flight do not wait any longer and end with their answer."""
        self._state.close()
        self._closing.set()

    def _join(self, wanted: Wanted) -> Flight:
        """Return the exchange in flight for this, a new one if there is none. The caller holds the lock."""
        if wanted not in self._flights:
            flight: Flight = Future()
            threading.Thread(
                target=self._run, args=(wanted, flight), name="tokensvc-exchange", daemon=True
            ).start()
            self._flights[wanted] = flight
        return self._flights[wanted]

    def _run(self, wanted: Wanted, flight: Flight) -> None:
        try:
            outcome = self._exchange(wanted)
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            with self._state.lock:
                del self._flights[wanted]
            flight.set_exception(error)
            return
        self._state.report(outcome)
        with self._state.lock:
            self._state.keep(wanted, outcome)
            del self._flights[wanted]
        flight.set_result(outcome)

    def _exchange(self, wanted: Wanted) -> HeldToken | Failure:
        flow, reply = self._state.start_flow(), None
        while True:
            try:
                step = flow.send(reply)
            except StopIteration as stop:
                outcome: HeldToken | Failure = stop.value
                return outcome
            reply = self._perform(step, wanted)

    def _perform(self, step: Step, wanted: Wanted) -> Reply:
        if isinstance(step, ReadKey):
            return self._read_key()
        options = self._state.options
        if isinstance(step, Ask):
            form = self._state.build_form(wanted)
            return post_form(
                options.url,
                step.key,
                form,
                seconds=step.seconds,
                clock=options.clock,
                tls=options.tls,
            )
        self._sleep(step.seconds)
        return None

    def _read_key(self) -> ApiKey | Failure:
        reader = self._state.reader
        try:
            text = reader.read()
            if inspect.iscoroutine(text):
                text.close()
                raise KeyUnreadableError(f"{reader.place} is async, which needs TokenSource")  # noqa: TRY301 - one way out for all that can go wrong here
            key = check_key(text, reader.place)
        except Exception as error:  # noqa: BLE001 - a function of the caller's may raise anything
            return self._state.build_key_failure(explain(error, reader.place))
        self._state.note_key(key.hint)
        return key
