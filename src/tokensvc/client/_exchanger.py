"""Performs exchanges: does what the steps of `_flow` say, and tells them what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokensvc.client._errors import KeyUnreadableError
from tokensvc.client._failure import Failure
from tokensvc.client._flow import Ask, Patience, ReadKey, run_exchange
from tokensvc.client._token_endpoint import post_form
from tokensvc.client._wanted import build_form

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tokensvc.client._flow import Reply, Step
    from tokensvc.client._key_reader import KeyReader
    from tokensvc.client._options import ExchangeOptions
    from tokensvc.client._plan import HeldToken
    from tokensvc.client._wanted import Wanted
    from tokensvc.core.api_key import ApiKey

_UNREADABLE_PAUSE: Final = 1.0  # seconds until a key that could not be read is looked at again


class Exchanger:
    """Exchanges the API key that `reader` reads. `sleep` waits for a number of seconds."""

    def __init__(
        self,
        options: ExchangeOptions,
        reader: KeyReader,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._options = options
        self._reader = reader
        self._sleep = sleep

    async def exchange(self, wanted: Wanted, *, rejected: Failure | None) -> HeldToken | Failure:
        """Return the token that is wanted, or why there is none.

        `rejected` is the last failure that rejected a key.
        """
        flow = run_exchange(
            patience=Patience(timeout=self._options.timeout, total=self._options.patience),
            started_on=self._options.clock(),
            rejected=rejected,
            chance=self._options.chance,
        )
        # What a generator is sent first must be None.
        reply: Reply = None
        while True:
            try:
                step = flow.send(reply)
            except StopIteration as stop:
                outcome: HeldToken | Failure = stop.value
                return outcome
            reply = await self._perform(step, wanted)

    async def _perform(self, step: Step, wanted: Wanted) -> Reply:
        if isinstance(step, ReadKey):
            return await self._read_key()
        if isinstance(step, Ask):
            return await post_form(
                self._options.url,
                step.key,
                build_form(wanted, self._options.expires_in),
                seconds=step.seconds,
                clock=self._options.clock,
                tls=self._options.tls,
            )
        await self._sleep(step.seconds)
        return None

    async def _read_key(self) -> ApiKey | Failure:
        try:
            return await self._reader.read_key(seconds=self._options.timeout)
        except KeyUnreadableError as error:
            until = self._options.clock() + _UNREADABLE_PAUSE
            return Failure(kind="key_unreadable", message=error.message, until=until)
