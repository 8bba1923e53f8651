"""Why there is no token, as values to decide with (`Failure`) and as errors to raise, and the refusals of the adapters.

Final: KeyRejectedError, KeyUnreadableError, ExchangeRefusedError. Worth a retry after `retry_after` seconds: RateLimitedByIssuerError,
IssuerUnavailableError. One failure answers many waiting callers, so each gets an error of its own, built from it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tokensvc.core.errors import (
    InvalidClientError,
    InvalidInputError,
    OAuthError,
    TokensvcError,
    UnavailableError,
)

if TYPE_CHECKING:
    from tokensvc.core.api_key import ApiKey

FailureKind = Literal["key_rejected", "key_unreadable", "refused", "rate_limited", "unavailable"]


class KeyRejectedError(InvalidClientError):
    """The issuer does not accept the API key (malformed, unknown, disabled, revoked or expired: all look the same)."""

    def __init__(self, hint: str) -> None:
        super().__init__("key_rejected")
        self.hint = hint

    def __str__(self) -> str:
        """Name the key by its hint."""
        return f"{self.message}: {self.hint}"


class KeyUnreadableError(InvalidInputError):
    """The API key cannot be read, or what was read is none."""

    code = "key_unreadable"


class ExchangeRefusedError(OAuthError):
    """The issuer refuses what was asked for; `error` is its code, like invalid_scope or invalid_target."""

    code = "exchange_refused"

    def __init__(self, message: str, *, error: str) -> None:
        super().__init__(message, reason=error)
        self.error = error


class IssuerUnavailableError(UnavailableError):
    """The issuer cannot be reached, or cannot answer right now."""


class RateLimitedByIssuerError(UnavailableError):
    """The key, its account or this network is over a limit until `retry_after` seconds from now."""

    code = "rate_limit_exceeded"


class HostNotAllowedError(TokensvcError):
    """A request that would have carried a token to a host that is not in `allowed_hosts`, or over plain http. It was not sent."""

    code = "host_not_allowed"


class BodyNotRepeatableError(TokensvcError):
    """The token was refused and the body was a stream, so the request cannot be repeated here. With a new body it can: try again."""

    code = "body_not_repeatable"

    def __init__(self) -> None:
        super().__init__(
            "the token was refused and the body is a stream that cannot be sent twice; send the request again with a new body"
        )


class SourceClosedError(TokensvcError):
    """The token source has been closed."""

    code = "source_closed"

    def __init__(self) -> None:
        super().__init__("the token source is closed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an exchange brought no token. `until`: when to ask again, monotonic seconds. `key`: the one that was rejected."""

    kind: FailureKind
    message: str
    until: float
    error: str = ""
    key: ApiKey | None = field(default=None, repr=False)


def build_error(failure: Failure, now: float) -> TokensvcError:
    """Return the error that tells a caller of `failure` at `now`."""
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
