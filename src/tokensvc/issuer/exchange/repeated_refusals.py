"""Refusals of good keys that are repeated many times a second: Postgres is not asked each time.

A client that goes on although its limit is used up, or that asks again and again for what its key
does not have, would cost more than one that gets tokens: a question that comes alone costs Postgres
as much as some ten in a batch. So if the same question has been refused `often` within a second, it
is refused for the rest of that second by what Postgres said last. Questions of one key are the same
if each asks for a capability that the key does not have.

Nothing is ever granted by this. A limit that was raised is noticed a second later at most, and only
by a client that is refused that often. A window of a limit never ends before the second does, even
if Postgres's answer was late.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from tokensvc.core.errors import InvalidClientError, InvalidSubjectTokenError, RateLimitedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokensvc.core.errors import OAuthError
    from tokensvc.core.ledger import Decision, Question

_OFTEN: Final = 10
_MOST: Final = 1000
_SECONDS: Final = 1.0
_LATEST: Final = 3.0  # an exchange is answered within that time, or not at all


class _Repeated(NamedTuple):
    decision: Decision
    number: int
    began_on: float


class RepeatedRefusals:
    """Remembers `most` questions and what they were refused by. `clock`: monotonic, in seconds."""

    def __init__(
        self,
        *,
        often: int = _OFTEN,
        most: int = _MOST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._often = often
        self._most = most
        self._clock = clock
        self._repeated: dict[Question, _Repeated] = {}

    def find(self, question: Question, scope: frozenset[str] | None) -> Decision | None:
        """Return the decision that refuses a question now, None if Postgres must be asked.

        `scope`: what the request asks for, None if it names nothing.
        """
        if not self._repeated:
            return None
        decision = self._find(question)
        if decision is not None or scope is None:
            return decision
        decision = self._find(_without_scope(question))
        if decision is None or scope.issubset(decision.verdict.capabilities):
            return None
        return decision

    def _find(self, question: Question) -> Decision | None:
        seen = self._repeated.get(question)
        if seen is None or seen.number < self._often or self._is_over(seen):
            return None
        return seen.decision

    def note(self, question: Question, decision: Decision, error: OAuthError) -> None:
        """Count a refusal by Postgres."""
        # Refusals of credentials are never remembered: an answer that comes sooner than that to an
        # unknown key would tell that the key exists.
        if isinstance(error, InvalidClientError | InvalidSubjectTokenError):
            return
        # A limit that starts anew within the second must not be refused beyond its end.
        if isinstance(error, RateLimitedError) and error.retry_after <= _SECONDS + _LATEST:
            return
        verdict = decision.verdict
        # A key that is restricted to networks or audiences is refused for these first.
        is_open = question.digest is not None and verdict.audiences is None
        if verdict.refusal == "invalid_scope" and is_open:
            question = _without_scope(question)
        # Taken out and put in again, so that the one refused longest ago stands first.
        seen = self._repeated.pop(question, None)
        if seen is None or self._is_over(seen):
            seen = _Repeated(decision, 0, self._clock())
        self._repeated[question] = _Repeated(decision, seen.number + 1, seen.began_on)
        if len(self._repeated) > self._most:
            del self._repeated[next(iter(self._repeated))]

    def _is_over(self, seen: _Repeated) -> bool:
        return self._clock() >= seen.began_on + _SECONDS


def _without_scope(question: Question) -> Question:
    """Return what stands for all questions of a key that it is refused for their scope."""
    # No real question has an empty demand: it has one in JSON, or None.
    return question._replace(demand="")
