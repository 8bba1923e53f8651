"""What both kinds of token source share: options, the tokens held, and the answer to a caller. No I/O; safe with threads and after fork.

The lock is held for moments only, never while something is read, sent or waited for.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tokensvc.client.errors import (
    Failure,
    IssuerUnavailableError,
    KeyUnreadableError,
    SourceClosedError,
    build_error,
)
from tokensvc.client.flow import Patience, Wanted, build_form, parse_wanted, run_exchange
from tokensvc.client.plan import HeldToken, Plan, Slot, drop_token, plan_use, put_outcome
from tokensvc.core.address import check_secure_url

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from tokensvc.client.api_key import KeyReader
    from tokensvc.client.flow import Flow

_MOST_SLOTS: Final = 1000
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a token source was told. Seconds; `expires_in` asks for a shorter life, `tls` is for an issuer with a private CA."""

    issuer: str
    audience: str | None = None
    scope: str | None = None
    expires_in: int | None = None
    timeout: float = 10.0
    patience: float = 30.0
    tls: ssl.SSLContext | None = None
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        """Check them against each other. Raises ValueError."""
        check_secure_url(self.issuer)
        parse_wanted(self.audience, self.scope)
        if not 0 < self.timeout <= self.patience:
            raise ValueError("timeout must be more than 0 and at most patience")
        if self.expires_in is not None and self.expires_in < 1:
            raise ValueError("expires_in must be at least 1 s")

    @property
    def longest_wait(self) -> float:
        """Seconds after which no caller waits any longer, whatever hangs."""
        return self.patience + self.timeout

    @property
    def url(self) -> str:
        """The token endpoint."""
        return f"{self.issuer.removesuffix('/')}/v1/token"


class State:
    """The tokens held by audience and scope, and the rules applied to them at this moment.

    `forget_flights`: called in a forked child, where exchanges that were in flight never end.
    """

    def __init__(
        self, options: Options, reader: KeyReader, *, forget_flights: Callable[[], None]
    ) -> None:
        self.options = options
        self.reader = reader
        self.lock = threading.RLock()
        self.is_closed = False
        self._hint = reader.hint
        self._forget_flights = forget_flights
        self._slots: dict[Wanted, Slot] = {}
        self._rejected: Failure | None = None
        _STATES.add(self)

    def parse_wanted(self, audience: str | None, scope: str | None) -> Wanted:
        """Return what a caller wants, the source's own audience and scope where it does not say."""
        return parse_wanted(audience or self.options.audience, scope or self.options.scope)

    def plan(self, wanted: Wanted) -> Plan:
        """Return what a caller does now. Raises SourceClosedError."""
        with self.lock:
            if self.is_closed:
                raise SourceClosedError
            return plan_use(self._slots.get(wanted, Slot()), self.options.clock())

    def settle(self, plan: Plan, outcome: HeldToken | Failure | None) -> str:
        """Return the token that a caller gets: the new one, or the one it had while that is good. Raises what the failure says."""
        if isinstance(outcome, HeldToken):
            return outcome.text
        now = self.options.clock()
        if plan.token is not None and now < plan.token.ends_on:
            return plan.token.text
        failure = outcome or plan.failure
        if failure is not None:
            raise build_error(failure, now)
        if self.is_closed:
            raise SourceClosedError
        raise IssuerUnavailableError("the issuer did not answer in time")

    def start_flow(self) -> Flow:
        """Return the steps of an exchange that starts now."""
        options = self.options
        patience = Patience(timeout=options.timeout, total=options.patience)
        return run_exchange(
            patience=patience,
            started_on=options.clock(),
            rejected=self._rejected,
            chance=options.chance,
        )

    def build_form(self, wanted: Wanted) -> Mapping[str, str]:
        """Return the form of an exchange."""
        return build_form(wanted, self.options.expires_in)

    def report(self, outcome: HeldToken | Failure) -> None:
        """Log a failure: while the old token is good, nobody else tells of it."""
        if isinstance(outcome, Failure):
            _log.warning("no new token from %s: %s", self.options.issuer, outcome.message)

    def keep(self, wanted: Wanted, outcome: HeldToken | Failure) -> None:
        """Remember what came of an exchange."""
        with self.lock:
            if self.is_closed:
                return
            if isinstance(outcome, Failure) and outcome.kind == "key_rejected":
                self._rejected = outcome
            self._slots[wanted] = put_outcome(self._slots.pop(wanted, Slot()), outcome)
            if len(self._slots) > _MOST_SLOTS:
                del self._slots[next(iter(self._slots))]

    def drop(self, wanted: Wanted, text: str) -> bool:
        """Drop a token that a relying party refused; see `plan.drop_token`."""
        with self.lock:
            slot, is_worth_repeating = drop_token(
                self._slots.get(wanted, Slot()), text, self.options.clock()
            )
            self._slots[wanted] = slot
        return is_worth_repeating

    def note_key(self, hint: str) -> None:
        """Remember the hint of the key that was read last, for `repr`."""
        self._hint = hint

    def build_key_failure(self, error: KeyUnreadableError) -> Failure:
        """Return the failure of a key that cannot be read; while there is a token, it is looked at again in a second."""
        return Failure(
            kind="key_unreadable", message=error.message, until=self.options.clock() + 1.0
        )

    def close(self) -> None:
        """Forget all tokens."""
        with self.lock:
            self.is_closed = True
            self._slots.clear()

    def renew_after_fork(self) -> None:
        """In a forked child: free the lock that a thread of the parent may have held. The tokens stay good."""
        self.lock = threading.RLock()
        self._forget_flights()

    def describe(self, kind: str) -> str:
        """Return the `repr` of a source: nothing secret."""
        hint = f", hint {self._hint}" if self._hint else ""
        return f"<{kind} issuer={self.options.issuer!r} api_key={self.reader.place}{hint}, tokens held: {len(self._slots)}>"


_STATES: weakref.WeakSet[State] = weakref.WeakSet()


def _renew_all() -> None:
    for state in _STATES:
        state.renew_after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_renew_all)
