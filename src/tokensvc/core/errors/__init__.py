"""One tree of errors with stable codes.

An error carries what may be said outside (`message`, `code`) and what only logs and metrics may
know (`reason`). One map says which HTTP status an error becomes (`web/problems.py`), and one which
exit code (`cli/exit_codes.py`). Only the family of RFC 6750 carries its own answer, because relying
parties have no such map.
"""

from __future__ import annotations

from tokensvc.core.errors.bearer import (
    ApiKeyShownError,
    BearerError,
    InsufficientAuthenticationError,
    InsufficientScopeError,
    InvalidTokenError,
    MalformedAuthorizationError,
    MissingCredentialError,
    MissingTokenError,
    OtherAudienceError,
    VerifierUnavailableError,
)
from tokensvc.core.errors.general import (
    AuthorizationError,
    CallerEndedError,
    ChangeUnknownError,
    ClockError,
    ConflictError,
    ContentTooLargeError,
    DatabaseRefusedError,
    Fault,
    ForbiddenError,
    IdempotencyKeyReusedError,
    InvalidInputError,
    InvalidPageError,
    NotFoundError,
    OutcomeUnknownError,
    StartRefusedError,
    TokensvcError,
    UnavailableError,
    UnsupportedMediaTypeError,
    VersionConflictError,
)
from tokensvc.core.errors.oauth import (
    InvalidClientError,
    InvalidRequestError,
    InvalidScopeError,
    InvalidSubjectTokenError,
    InvalidTargetError,
    NoClientError,
    OAuthError,
    RateLimitedError,
    UnsupportedGrantTypeError,
)

__all__ = [
    "ApiKeyShownError",
    "AuthorizationError",
    "BearerError",
    "CallerEndedError",
    "ChangeUnknownError",
    "ClockError",
    "ConflictError",
    "ContentTooLargeError",
    "DatabaseRefusedError",
    "Fault",
    "ForbiddenError",
    "IdempotencyKeyReusedError",
    "InsufficientAuthenticationError",
    "InsufficientScopeError",
    "InvalidClientError",
    "InvalidInputError",
    "InvalidPageError",
    "InvalidRequestError",
    "InvalidScopeError",
    "InvalidSubjectTokenError",
    "InvalidTargetError",
    "InvalidTokenError",
    "MalformedAuthorizationError",
    "MissingCredentialError",
    "MissingTokenError",
    "NoClientError",
    "NotFoundError",
    "OAuthError",
    "OtherAudienceError",
    "OutcomeUnknownError",
    "RateLimitedError",
    "StartRefusedError",
    "TokensvcError",
    "UnavailableError",
    "UnsupportedGrantTypeError",
    "UnsupportedMediaTypeError",
    "VerifierUnavailableError",
    "VersionConflictError",
]
