"""A limit for credentials that have ended and are shown again and again.

The token endpoint answers refused keys late. Revocation and introspection, which ask Postgres about
each credential by a query of its own, refuse to ask again: a network that shows too many dead
credentials in a minute gets 429 for them. Only a credential that this process has found dead
some seconds ago is refused like this. So live ones do not suffer, and one that has come back to
life (a key can be enabled again) is found to live soon.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tokensvc.core.errors import RateLimitedError
from tokensvc.core.limit import MINUTE
from tokensvc.issuer.exchange.network_counts import NetworkCounts
from tokensvc.issuer.metrics import RATE_LIMITED

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokensvc.issuer.exchange.late_answers import LateAnswers


class DeadCredentials:
    """Remembers `most` dead credentials by their SHA-256, and counts who shows them again.

    `allowed` repeats of a network pass in a minute; then a credential is asked about only once in
    `again_after` seconds. `clock`: monotonic, in seconds.
    """

    def __init__(
        self,
        late_answers: LateAnswers,
        *,
        allowed: int,
        most: int = 20_000,
        again_after: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._late_answers = late_answers
        self._allowed = allowed
        self._most = most
        self._again_after = again_after
        self._clock = clock
        self._found_dead_on: dict[bytes, float] = {}
        self._shown = NetworkCounts(clock=clock)

    async def check(self, digest: bytes, network: str) -> None:
        """Check that Postgres may be asked about a credential now.

        Raises RateLimitedError (after a pause) and UnavailableError.
        """
        found_on = self._found_dead_on.get(digest)
        if found_on is None:
            return
        now = self._clock()
        # Counted first, so that repeats count that are let through as well.
        if self._shown.add(network) <= self._allowed or now >= found_on + self._again_after:
            return
        RATE_LIMITED.labels("dead-credentials").inc()
        retry_after = self._shown.seconds_left()
        await self._late_answers.hold(now)
        raise RateLimitedError(
            "your network shows credentials that have ended again and again",
            policy="dead-credentials",
            limit=self._allowed,
            window=MINUTE,
            retry_after=retry_after,
        )

    def note(self, digest: bytes) -> None:
        """Remember that a credential was found dead now; forget the one of longest ago if full."""
        self._found_dead_on.pop(digest, None)
        self._found_dead_on[digest] = self._clock()
        if len(self._found_dead_on) > self._most:
            del self._found_dead_on[next(iter(self._found_dead_on))]

    def forget(self, digest: bytes) -> None:
        """Forget a credential that lives."""
        self._found_dead_on.pop(digest, None)
