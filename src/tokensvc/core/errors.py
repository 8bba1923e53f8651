"""One tree of errors with stable codes.

Errors carry what is safe to say outside (`message`, `code`) and, apart from it, what only logs and metrics may know (`reason`).
Which HTTP status or exit code an error becomes is decided in one place per door: `web/problems.py` and `cli/output.py`. Only the
RFC 6750 family carries its own answer, because relying parties have no such map.
"""

from __future__ import annotations

from typing import ClassVar


class TokensvcError(Exception):
    """Root of all errors that tokensvc raises on purpose."""

    code: ClassVar[str] = "server_error"

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.code


class InvalidInputError(TokensvcError):
    """A value that cannot be accepted; the message names it and the way out."""

    code = "invalid_input"


class NotFoundError(TokensvcError):
    """There is no such thing."""

    code = "not_found"


class ConflictError(TokensvcError):
    """The thing exists already, or its state forbids the act."""

    code = "conflict"


class UnavailableError(TokensvcError):
    """Not possible right now (Postgres is away, shutting down); a retry may help."""

    code = "temporarily_unavailable"

    def __init__(self, message: str, *, reason: str | None = None, retry_after: int = 1) -> None:
        super().__init__(message, reason=reason)
        self.retry_after = retry_after


class OutcomeUnknownError(UnavailableError):
    """The commit was sent and no answer came: it may or may not have happened. Repeating a revocation is safe."""

    code = "revocation_pending"


class StartRefusedError(TokensvcError):
    """The service will not start like this; the message says what to change."""

    code = "start_refused"


# --- the token endpoint (RFC 6749 section 5.2, RFC 8693 section 2.2.2, RFC 8707 section 2) ---------------------------------


class OAuthError(TokensvcError):
    """A refusal of an OAuth endpoint: `code` is the wire's `error`, `message` its `error_description`."""

    code = "invalid_request"


class InvalidRequestError(OAuthError):
    """Malformed request: a parameter twice, two credentials, the wrong content type."""


class UnsupportedGrantTypeError(OAuthError):
    """A grant that we do not offer."""

    code = "unsupported_grant_type"


class InvalidScopeError(OAuthError):
    """A capability that is malformed, unknown, or not the key's."""

    code = "invalid_scope"


class InvalidTargetError(OAuthError):
    """An audience or resource that we do not issue for, or more than one."""

    code = "invalid_target"


class InvalidClientError(OAuthError):
    """The API key is refused. Outside all reasons look the same; `reason` tells logs and metrics which it was."""

    code = "invalid_client"

    def __init__(self, reason: str) -> None:
        super().__init__("the API key is not accepted", reason=reason)


class InvalidSubjectTokenError(OAuthError):
    """A subject token that cannot be exchanged (RFC 8693 section 2.2.2 demands `invalid_request`)."""

    def __init__(self, reason: str) -> None:
        super().__init__("the subject_token is not accepted", reason=reason)


class RateLimitedError(OAuthError):
    """Over a limit: `policy` names it, `limit` tokens are allowed in `window` seconds, and `retry_after` is when it starts anew."""

    code = "rate_limit_exceeded"

    def __init__(
        self, message: str, *, policy: str, limit: int, window: int, retry_after: int
    ) -> None:
        super().__init__(message, reason=policy.replace("-", "_") + "_limited")
        self.policy = policy
        self.limit = limit
        self.window = window
        self.retry_after = retry_after


# --- relying parties (RFC 6750 section 3) ----------------------------------------------------------------------------------


class BearerError(TokensvcError):
    """A refusal at a relying party: carries status and headers of the answer that RFC 6750 section 3 asks for."""

    status: ClassVar[int] = 401
    public_message: ClassVar[str] = "a valid access token is required"

    def __init__(self, reason: str) -> None:
        super().__init__(self.public_message, reason=reason)

    @property
    def headers(self) -> dict[str, str]:
        """Headers that belong on the answer."""
        return {
            "WWW-Authenticate": f'Bearer error="{self.code}", error_description="{self.public_message}"'
        }


class MissingTokenError(BearerError):
    """No token was sent: a bare challenge without an error code (RFC 6750 section 3.1)."""

    code = "missing_token"

    def __init__(self) -> None:
        super().__init__("missing_token")

    @property
    def headers(self) -> dict[str, str]:
        """A bare challenge."""
        return {"WWW-Authenticate": "Bearer"}


class MalformedAuthorizationError(BearerError):
    """Two credentials, or an Authorization header that is no `Bearer <token>`."""

    status = 400
    code = "invalid_request"
    public_message = "send one header: Authorization, Bearer, one token"


class InvalidTokenError(BearerError):
    """Expired, forged, for somebody else, or revoked. One public text; `reason` is for the log."""

    code = "invalid_token"
    public_message = "the access token is invalid, expired or revoked"


class InsufficientScopeError(BearerError):
    """The token is good and lacks a capability."""

    status = 403
    code = "insufficient_scope"
    public_message = "the access token lacks a capability"

    def __init__(self, needed: str) -> None:
        super().__init__(f"needs {needed}")
        self.needed = needed

    @property
    def headers(self) -> dict[str, str]:
        """The challenge, with the scope that would do."""
        challenge = f'Bearer error="{self.code}", error_description="{self.public_message}", scope="{self.needed}"'
        return {"WWW-Authenticate": challenge}


class VerifierUnavailableError(BearerError):
    """No keys yet, or the denylist is stale: 503, because a 401 would send every client for new tokens."""

    status = 503
    code = "temporarily_unavailable"
    public_message = "tokens cannot be verified right now"

    @property
    def headers(self) -> dict[str, str]:
        """When to try again."""
        return {"Retry-After": "5"}


class InvalidPageError(TokensvcError):
    """A denylist page that a follower must not apply."""

    code = "invalid_page"
