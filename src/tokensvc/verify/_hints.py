"""Log lines for refusals that point to a setting: once a minute for each reason, with both values.

A relying party that is configured wrongly refuses every token, and its callers learn nothing. So
the log says what the token says and what the verifier wants. What is refused for other reasons is
no fault of the configuration, and has no line here.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tokensvc.core.errors import InvalidTokenError

_PAUSE: Final = 60.0
_MOST_SHOWN: Final = 200  # anybody can write a token of any type
# What to do about it.
_ADVICE: Final[Mapping[str, str]] = {
    "bad_header": "it is no token of this service: callers must get one there",
    "wrong_issuer": "the option `issuer` must be exactly what the service says of itself, and"
    " callers must get their tokens there",
    "wrong_audience": "callers must ask for a token for this audience, or the option `audience`"
    " lacks a name",
    "algorithm_not_allowed": "the option `algorithms` says what is accepted",
    "wrong_type": "only access tokens are accepted; the option `typ` is for audiences of the type"
    " JWT",
    "api_key": "an API key was sent in the place of a token: callers must exchange it first, at"
    " /v1/token of the service",
}

# Users set the level of this logger, so its name is public and does not follow the module's.
_log = logging.getLogger("tokensvc.verify")


class Hints:
    """Writes the lines. `monotonic`: a clock, in seconds. For any thread."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._written_on: dict[str, float] = {}
        self._unwritten: dict[str, int] = {}

    def note(self, error: InvalidTokenError) -> None:
        """Write a line about a refusal if it points to a setting and none was written just now."""
        reason, now = error.reason, self._monotonic()
        if reason not in _ADVICE:
            return
        with self._lock:
            if now - self._written_on.get(reason, float("-inf")) < _PAUSE:
                self._unwritten[reason] = self._unwritten.get(reason, 0) + 1
                return
            self._written_on[reason] = now
            more = self._unwritten.pop(reason, 0)
        _log.warning(
            "a token was refused: %s%s; %s%s",
            reason,
            _describe(error),
            _ADVICE[reason],
            f" ({more} more since the last line)" if more else "",
        )


def _describe(error: InvalidTokenError) -> str:
    if error.wanted is None:
        return ""
    said, wanted = (repr(value)[:_MOST_SHOWN] for value in (error.said, error.wanted))
    return f": it says {said}, and this verifier wants {wanted}"
