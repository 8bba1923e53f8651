"""One tree of errors with stable codes.

An error carries what may be said outside (`message`, `code`) and what only logs and metrics may
know (`reason`). One map says which HTTP status an error becomes (`web/problems.py`), and one which
exit code (`cli/exit_codes.py`). Only the family of RFC 6750 carries its own answer, because relying
parties have no such map.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class TokensvcError(Exception):
    """Root of all errors that tokensvc raises on purpose."""

    code: ClassVar[str] = "server_error"

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.code


class Fault(NamedTuple):
    """What is wrong with one field of a request.

    `pointer`: a JSON pointer (RFC 6901) into the request, like "/metadata/team"; "" is all of it.
    """

    pointer: str
    detail: str


class InvalidInputError(TokensvcError):
    """A value that cannot be accepted; the message names it and the way out.

    `pointer`: the field of the request that holds the value, if one does. `faults`: the same for
    several fields.
    """

    code = "invalid_input"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        pointer: str | None = None,
        faults: Sequence[Fault] = (),
    ) -> None:
        super().__init__(message, reason=reason)
        self.faults = tuple(faults) if pointer is None else (Fault(pointer, message), *faults)


class NotFoundError(TokensvcError):
    """There is no such thing."""

    code = "not_found"


class ConflictError(TokensvcError):
    """The thing exists already, or its state does not allow this."""

    code = "conflict"


class ForbiddenError(TokensvcError):
    """The caller may do such things, but not this one; the message says why."""

    code = "forbidden"


class VersionConflictError(TokensvcError):
    """Somebody has changed the thing since the caller has read it (RFC 9110 section 13.1.1)."""

    code = "version_conflict"

    def __init__(self) -> None:
        super().__init__("it was changed meanwhile: read it again, and repeat what you want")


class IdempotencyKeyReusedError(TokensvcError):
    """The sender has given the same Idempotency-Key to another request."""

    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__(
            "this Idempotency-Key belongs to another request: take a new one for a new request"
        )


class UnavailableError(TokensvcError):
    """Not possible right now: Postgres is away, or the service stops. A retry may help.

    `retry_after`: in how many seconds it makes sense to try again.
    """

    code = "temporarily_unavailable"

    def __init__(self, message: str, *, reason: str | None = None, retry_after: int = 1) -> None:
        super().__init__(message, reason=reason)
        self.retry_after = retry_after


class OutcomeUnknownError(UnavailableError):
    """The commit was sent and no answer came, so it may or may not have happened.

    It is safe to repeat a revocation.
    """

    code = "revocation_pending"


class ChangeUnknownError(OutcomeUnknownError):
    """As OutcomeUnknownError, for what may happen twice if it is repeated."""

    code = "outcome_unknown"

    def __init__(self) -> None:
        super().__init__(
            "the database did not confirm the change; it may have happened. Look whether it has, "
            "or repeat the request if you have named it with Idempotency-Key: that is safe"
        )


class ClockError(UnavailableError):
    """Postgres's clock is not what this process expects, so no token is issued."""

    def __init__(self) -> None:
        super().__init__(
            "the clock of the database has jumped; try again", reason="clock", retry_after=5
        )


class StartRefusedError(TokensvcError):
    """The service will not start like this; the message says what to change."""

    code = "start_refused"


class AuthorizationError(TokensvcError):
    """An Authorization header that cannot be used; `core/authorization.py` says what follows.

    `is_bad_request`: the whole request is malformed, whoever reads it. If it is False, the header
    only shows no credential that we can use.
    """

    code = "invalid_request"

    def __init__(self, reason: str, *, is_bad_request: bool) -> None:
        super().__init__("the Authorization header cannot be used", reason=reason)
        self.is_bad_request = is_bad_request


# --- OAuth endpoints (RFC 6749 section 5.2, RFC 8693 section 2.2.2, RFC 8707 section 2) -----------


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

    def __init__(self, reason: str) -> None:
        super().__init__("the API key is not accepted", reason=reason)


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


# --- relying parties (RFC 6750 section 3) ---------------------------------------------------------


class BearerError(TokensvcError):
    """A refusal at a relying party, with status and headers of its answer (RFC 6750 section 3)."""

    status: ClassVar[int] = 401
    public_message: ClassVar[str] = "a valid access token is required"

    def __init__(self, reason: str) -> None:
        super().__init__(self.public_message, reason=reason)

    @property
    def headers(self) -> dict[str, str]:
        """Headers that belong on the answer."""
        return {"WWW-Authenticate": self._challenge}

    @property
    def _challenge(self) -> str:
        return f'Bearer error="{self.code}", error_description="{self.public_message}"'


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
    """Two credentials, or a `Bearer` header that is malformed."""

    status = 400
    code = "invalid_request"
    public_message = "send one Authorization header: Bearer and one token"


class InvalidTokenError(BearerError):
    """A token that is expired, forged, revoked, or for somebody else.

    All of them have one public text; `reason` is for the log.
    """

    code = "invalid_token"
    public_message = "the access token is invalid, expired or revoked"


class InsufficientScopeError(BearerError):
    """The token is good and lacks a capability.

    `needed`: what would do, separated by spaces. `one_of`: if there is a choice, all that would do,
    each by itself.
    """

    status = 403
    code = "insufficient_scope"
    public_message = "the access token lacks a capability"

    def __init__(self, needed: str, *, one_of: Sequence[str] = ()) -> None:
        super().__init__(f"needs {needed}")
        self.needed = needed
        self.one_of = tuple(one_of)

    @property
    def headers(self) -> dict[str, str]:
        """The challenge, with the scope that is needed."""
        return {"WWW-Authenticate": f'{self._challenge}, scope="{self.needed}"'}


class InsufficientAuthenticationError(BearerError):
    """The API key was shown too long ago for what is asked (RFC 9470 section 3)."""

    code = "insufficient_user_authentication"
    public_message = "the API key must have been shown not long ago: get a new token"

    def __init__(self, max_age: int) -> None:
        super().__init__("not_fresh")
        self.max_age = max_age

    @property
    def headers(self) -> dict[str, str]:
        """The challenge, with the age in seconds that would do."""
        return {"WWW-Authenticate": f'{self._challenge}, max_age="{self.max_age}"'}


class VerifierUnavailableError(BearerError):
    """No keys yet, or the denylist is stale.

    503 and not 401, because a 401 would make every client ask for a new token.
    """

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
