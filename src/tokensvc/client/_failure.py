"""Why an exchange brought no token, as a value; and the error that tells a caller about it.

One failure is the result for all callers that wait. Each caller gets an error object of its own,
because an error that is raised collects the traceback of its caller.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tokensvc.client._errors import (
    ExchangeRefusedError,
    IssuerUnavailableError,
    KeyRejectedError,
    KeyUnreadableError,
    RateLimitedByIssuerError,
)

if TYPE_CHECKING:
    from tokensvc.core.api_key import ApiKey
    from tokensvc.core.errors import TokensvcError

FailureKind = Literal["key_rejected", "key_unreadable", "refused", "rate_limited", "unavailable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an exchange brought no token.

    `until`: when the issuer may be asked again, in seconds of the monotonic clock. `error`: the
    code of a refusal. `key`: the API key that was rejected.
    """

    kind: FailureKind
    message: str
    until: float
    error: str = ""
    key: ApiKey | None = field(default=None, repr=False)


def build_error(failure: Failure, now: float) -> TokensvcError:
    """Return a new error that tells a caller about `failure` at the moment `now`."""
    retry_after = max(1, math.ceil(failure.until - now))
    match failure.kind:
        case "key_rejected":
            return KeyRejectedError("" if failure.key is None else failure.key.hint)
        case "key_unreadable":
            return KeyUnreadableError(failure.message)
        case "refused":
            return ExchangeRefusedError(failure.message, error=failure.error)
        case "rate_limited":
            return RateLimitedByIssuerError(failure.message, retry_after=retry_after)
        case "unavailable":
            return IssuerUnavailableError(failure.message, retry_after=retry_after)
