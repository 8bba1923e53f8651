"""Refusals at a relying party, each with its own answer (RFC 6750 section 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tokensvc.core.errors.general import TokensvcError

if TYPE_CHECKING:
    from collections.abc import Sequence


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
        return f'Bearer error="{self.code}", error_description="{self.message}"'


class MissingTokenError(BearerError):
    """No token was sent: a bare challenge without an error code (RFC 6750 section 3.1)."""

    code = "missing_token"

    def __init__(self) -> None:
        super().__init__("missing_token")

    @property
    def headers(self) -> dict[str, str]:
        """A bare challenge."""
        return {"WWW-Authenticate": "Bearer"}


class MissingCredentialError(MissingTokenError):
    """As MissingTokenError, where an API key is as good as a token."""

    public_message = "show an API key or a token in the header Authorization"


class MalformedAuthorizationError(BearerError):
    """Two credentials, or a `Bearer` header that is malformed."""

    status = 400
    code = "invalid_request"
    public_message = "send one Authorization header: Bearer and one token"


class InvalidTokenError(BearerError):
    """A token that is expired, forged, revoked, or for somebody else.

    All of them have one public text, and `reason` is for the log. Only the service itself says more
    of a live token of ours (OtherAudienceError). If the refusal may be due to a setting, `said` is
    what the token says, and `wanted` what would do.
    """

    code = "invalid_token"
    public_message = "the access token is invalid, expired or revoked"

    def __init__(self, reason: str, *, said: object = None, wanted: object = None) -> None:
        super().__init__(reason)
        self.said = said
        self.wanted = wanted


class ApiKeyShownError(InvalidTokenError):
    """An API key that was shown to a relying party, which takes only tokens."""

    public_message = "this is an API key: exchange it for an access token first, and send that"

    def __init__(self) -> None:
        super().__init__("api_key")


class OtherAudienceError(InvalidTokenError):
    """A live token of ours that was shown to the service itself, and is for a relying party."""

    public_message = "the access token is for another audience: get one for the audience tokensvc"

    def __init__(self) -> None:
        super().__init__("wrong_audience")


class InsufficientScopeError(BearerError):
    """The token is good and lacks a capability.

    `needed`: what would do, separated by spaces. `one_of`: if there is a choice, all that would do,
    each by itself. `of_key`: an API key was shown, and no token.
    """

    status = 403
    code = "insufficient_scope"
    public_message = "the access token lacks a capability"

    def __init__(self, needed: str, *, one_of: Sequence[str] = (), of_key: bool = False) -> None:
        super().__init__(f"needs {needed}")
        self.needed = needed
        self.one_of = tuple(one_of)
        if one_of:  # of an operation: an API key may have been shown as well
            self.message = "the caller lacks a capability"
        elif of_key:
            self.message = f"the API key lacks the capability {needed}"

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
