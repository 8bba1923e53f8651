"""The errors that token sources and adapters raise. The door `tokensvc.client` exports them all.

A second try cannot help after KeyRejectedError, KeyUnreadableError, ExchangeRefusedError and
HostNotAllowedError. It may help after RateLimitedByIssuerError and IssuerUnavailableError, when
`retry_after` seconds have passed.
"""

from __future__ import annotations

from tokensvc.core.errors import (
    InvalidClientError,
    InvalidInputError,
    OAuthError,
    TokensvcError,
    UnavailableError,
)


class KeyRejectedError(InvalidClientError):
    """The issuer does not accept the API key, whose `hint` says which key it was.

    The key may be malformed, unknown, disabled, revoked or expired: the issuer does not tell which.
    """

    def __init__(self, hint: str) -> None:
        super().__init__("key_rejected")
        self.hint = hint

    def __str__(self) -> str:
        """Return the message and the hint of the key."""
        return f"{self.message}: {self.hint}"


class KeyUnreadableError(InvalidInputError):
    """The API key cannot be read, or what was read is not an API key."""

    code = "key_unreadable"


class ExchangeRefusedError(OAuthError):
    """The issuer refuses this exchange; `error` is its code, like invalid_scope or invalid_target.

    RFC 6749 section 5.2 and RFC 8693 section 2.2.2 define the codes.
    """

    code = "exchange_refused"

    def __init__(self, message: str, *, error: str) -> None:
        super().__init__(message, reason=error)
        self.error = error


class IssuerUnavailableError(UnavailableError):
    """The issuer cannot be reached, or it cannot answer at the moment."""


class RateLimitedByIssuerError(UnavailableError):
    """The key, its account or this network has used up a limit for `retry_after` more seconds."""

    code = "rate_limit_exceeded"


class HostNotAllowedError(TokensvcError):
    """A request was not sent, because its host is not in `allowed_hosts` or it used plain http."""

    code = "host_not_allowed"


class BodyNotRepeatableError(TokensvcError):
    """The token was refused, and the request has a body that can be sent only once.

    The refused token has been dropped, so the caller can send the request again with a new body.
    """

    code = "body_not_repeatable"

    def __init__(self) -> None:
        super().__init__(
            "the token was refused, and the body is a stream that cannot be sent twice; "
            "send the request again with a new body"
        )


class SourceClosedError(TokensvcError):
    """The token source has been closed."""

    code = "source_closed"

    def __init__(self) -> None:
        super().__init__("the token source is closed")
