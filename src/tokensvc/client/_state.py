"""The tokens that a source holds, and what the rules of `_plan` mean for its callers.

No I/O. Safe with threads and after fork. The lock is held for moments only, never while something
is read, sent or waited for.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from tokensvc.client._after_fork import repair_in_children
from tokensvc.client._errors import IssuerUnavailableError, SourceClosedError
from tokensvc.client._failure import Failure, build_error
from tokensvc.client._plan import HeldToken, Plan, Slot, drop_token, plan_use, put_outcome
from tokensvc.client._wanted import Wanted, parse_wanted

if TYPE_CHECKING:
    from tokensvc.client._options import ExchangeOptions

_MOST_SLOTS: Final = 1000


class State:
    """The tokens of a source by audience and scope.

    When there are more than `most_slots`, the one whose last exchange is the oldest is forgotten.
    """

    def __init__(self, options: ExchangeOptions, *, most_slots: int = _MOST_SLOTS) -> None:
        self.options = options
        self._most_slots = most_slots
        # Reentrant, because a signal handler may ask for a token while its own thread holds it.
        self._lock = threading.RLock()
        self._is_closed = False
        self._slots: dict[Wanted, Slot] = {}
        self._rejected: Failure | None = None
        repair_in_children(self, State._renew_lock)

    @property
    def rejected(self) -> Failure | None:
        """The last failure that rejected a key."""
        return self._rejected

    def parse_wanted(self, audience: str | None, scope: str | None) -> Wanted:
        """Return what a caller wants; the source's own audience and scope fill the gaps."""
        return parse_wanted(audience or self.options.audience, scope or self.options.scope)

    def plan(self, wanted: Wanted) -> Plan:
        """Return what a caller does now. Raises SourceClosedError."""
        with self._lock:
            if self._is_closed:
                raise SourceClosedError
            return plan_use(self._slots.get(wanted, Slot()), self.options.clock())

    def settle(self, plan: Plan, outcome: HeldToken | Failure | None) -> str:
        """Return the token for a caller: the new one, or else its old one while that is good.

        `outcome` is what came of the exchange that it waited for, None if nothing came in time.
        Raises the error of the failure, SourceClosedError or IssuerUnavailableError.
        """
        if isinstance(outcome, HeldToken):
            return outcome.text
        now = self.options.clock()
        if plan.token is not None and now < plan.token.ends_on:
            return plan.token.text
        failure = outcome or plan.failure
        if failure is not None:
            raise build_error(failure, now)
        if self._is_closed:
            raise SourceClosedError
        raise IssuerUnavailableError("the issuer did not answer in time")

    def keep(self, wanted: Wanted, outcome: HeldToken | Failure) -> None:
        """Remember what came of an exchange. A closed source remembers nothing."""
        with self._lock:
            if self._is_closed:
                return
            if isinstance(outcome, Failure) and outcome.kind == "key_rejected":
                self._rejected = outcome
            # The slot moves to the end of the dictionary, so the first one is the oldest.
            self._slots[wanted] = put_outcome(self._slots.pop(wanted, Slot()), outcome)
            if len(self._slots) > self._most_slots:
                del self._slots[next(iter(self._slots))]

    def drop(self, wanted: Wanted, text: str) -> bool:
        """Drop the token `text` that a relying party refused; return whether to try again."""
        with self._lock:
            slot, is_worth_repeating = drop_token(
                self._slots.get(wanted, Slot()), text, self.options.clock()
            )
            if wanted in self._slots:
                self._slots[wanted] = slot
        return is_worth_repeating

    def close(self) -> None:
        """Forget all tokens."""
        with self._lock:
            self._is_closed = True
            self._slots.clear()

    def count(self) -> int:
        """Return the number of slots: pairs of audience and scope that something is known for."""
        return len(self._slots)

    def _renew_lock(self) -> None:
        """In a forked child: replace the lock, which a thread of the parent may have held."""
        self._lock = threading.RLock()
