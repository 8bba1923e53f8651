"""Refusals of the OAuth endpoints.

RFC 6749 section 5.2, RFC 8693 section 2.2.2, RFC 8707 section 2.
"""

from __future__ import annotations

from tokensvc.core.errors.general import TokensvcError


class OAuthError(TokensvcError):
    """A refusal of an OAuth endpoint: it answers `code` as `error`, with `message`."""

    code = "invalid_request"


class InvalidRequestError(OAuthError):
    """A malformed request: a parameter twice, two credentials, the wrong content type."""


class UnsupportedGrantTypeError(OAuthError):
    """A grant that we do not offer."""

    code = "unsupported_grant_type"


class InvalidScopeError(OAuthError):
    """A capability that is malformed or unknown, or that the key does not have."""

    code = "invalid_scope"


class InvalidTargetError(OAuthError):
    """An audience or resource that we do not issue for, or more than one."""

    code = "invalid_target"


class InvalidClientError(OAuthError):
    """The client or its API key is refused.

    All reasons look the same outside; `reason` tells logs and metrics which one it was.
    """

    code = "invalid_client"
    public_message = "the API key is not accepted"

    def __init__(self, reason: str) -> None:
        super().__init__(self.public_message, reason=reason)


class NoClientError(InvalidClientError):
    """No API key came, or not in a form that we read. Saying so reveals nothing about any key."""

    public_message = "no API key came: send the header `Authorization: Bearer <API key>`"


class InvalidSubjectTokenError(OAuthError):
    """A subject token that cannot be exchanged: `invalid_request` (RFC 8693 section 2.2.2)."""

    def __init__(self, reason: str) -> None:
        super().__init__("the subject_token is not accepted", reason=reason)


class RateLimitedError(OAuthError):
    """A limit is used up: `limit` tokens in `window` seconds are allowed by `policy`.

    `retry_after`: in how many seconds the window starts anew.
    """

    code = "rate_limit_exceeded"

    def __init__(
        self, message: str, *, policy: str, limit: int, window: int, retry_after: int
    ) -> None:
        super().__init__(message, reason=policy.replace("-", "_") + "_limited")
        self.policy = policy
        self.limit = limit
        self.window = window
        self.retry_after = retry_after
