"""Whether keys and denylist are fresh enough, and the log lines when that changes."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from tokensvc.verify._feed_follower import FeedFollower
    from tokensvc.verify._jwks_follower import JwksFollower
    from tokensvc.verify._options import VerifierOptions

Fault = Literal["no_keys", "no_denylist", "denylist_stale"]

_TICK: Final = 1.0

# Users set the level of this logger, so its name is public and does not follow the module's.
_log = logging.getLogger("tokensvc.verify")


class Freshness:
    """Judges what the two followers have. For any thread, except `watch`."""

    def __init__(self, options: VerifierOptions, jwks: JwksFollower, feed: FeedFollower) -> None:
        self._issuer = options.issuer
        self._max_staleness = options.max_staleness
        self._jwks_stale_if_error = options.jwks_stale_if_error
        self._rejects_when_stale = options.when_stale == "reject"
        self._jwks = jwks
        self._feed = feed
        self._told: Fault | None = None

    def find_fault(self) -> Fault | None:
        """Return why no token can be verified now, None if tokens can."""
        # Without a lock, because every value that is read here is replaced as a whole.
        if not self._jwks.keys or self._jwks.overdue > self._jwks_stale_if_error:
            return "no_keys"
        if not self._feed.has_all:
            return "no_denylist"
        if self._rejects_when_stale and self._is_stale:
            return "denylist_stale"
        return None

    @property
    def _is_stale(self) -> bool:
        return self._feed.age > self._max_staleness

    async def watch(self) -> None:
        """Log each change from fresh to not, and back, until cancelled."""
        while True:
            self._tell_change()
            await asyncio.sleep(_TICK)

    def _tell_change(self) -> None:
        fault: Fault | None = self.find_fault() or ("denylist_stale" if self._is_stale else None)
        told, self._told = self._told, fault
        if fault is None and told is not None:
            _log.info("keys and denylist of %s are fresh again", self._issuer)
        if fault is not None and told is None:
            _log.error(
                "%s (%s) while %s is followed: %s",
                "every token is refused with 503"
                if self.find_fault()
                else "revocations may be missing, and tokens are accepted nevertheless",
                fault,
                self._issuer,
                self._find_cause(fault),
            )

    def _find_cause(self, fault: Fault) -> str:
        failure = self._jwks.last_error if fault == "no_keys" else self._feed.last_failure
        return failure or "the issuer has not answered"
