"""The root of all errors, and those that belong neither to OAuth nor to bearer tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class TokensvcError(Exception):
    """Root of all errors that tokensvc raises on purpose.

    `is_late`: the answer must be held back, because its network was refused often. `pointer`: the
    field of the request that the message is about, if it is about one. `faults`: what is wrong with
    each field, if there are several.
    """

    code: ClassVar[str] = "server_error"
    is_late = False

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        pointer: str | None = None,
        faults: Sequence[Fault] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.code
        self.faults = tuple(faults) if pointer is None else (Fault(pointer, message), *faults)


class Fault(NamedTuple):
    """What is wrong with one field of a request.

    `pointer`: a JSON pointer (RFC 6901) into the request, like "/metadata/team"; "" is all of it.
    """

    pointer: str
    detail: str


class InvalidInputError(TokensvcError):
    """A value that cannot be accepted; the message names it and the way out."""

    code = "invalid_input"


class ContentTooLargeError(TokensvcError):
    """The body of a request has more than `most` bytes."""

    code = "content_too_large"

    def __init__(self, most: int) -> None:
        super().__init__(f"the body has more than {most} bytes", pointer="")


class UnsupportedMediaTypeError(TokensvcError):
    """The body of a request is written in a way that is not read here."""

    code = "unsupported_media_type"


class NotFoundError(TokensvcError):
    """There is no such thing. `thing`: the id or name that was looked for, if it has one."""

    code = "not_found"

    def __init__(
        self, message: str, *, pointer: str | None = None, thing: str | None = None
    ) -> None:
        super().__init__(message, pointer=pointer)
        self.thing = thing


class ConflictError(TokensvcError):
    """The thing exists already, or its state does not allow this."""

    code = "conflict"


class ForbiddenError(TokensvcError):
    """The caller may do such things, but not this one; the message says why."""

    code = "forbidden"


class CallerEndedError(ForbiddenError):
    """The key of the caller has ended while it called, so nothing was changed."""

    def __init__(self) -> None:
        super().__init__("your own key is not active any more", reason="caller_ended")


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

    `retry_after`: in how many seconds it makes sense to try again. `detail`: what operators are
    told; it may name hosts and roles.
    """

    code = "temporarily_unavailable"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        detail: str | None = None,
        retry_after: int = 1,
    ) -> None:
        super().__init__(message, reason=reason)
        self.detail = detail or message
        self.retry_after = retry_after


class DatabaseRefusedError(UnavailableError):
    """Postgres answers and refuses, as for a wrong password: waiting alone does not mend it."""


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

    `is_bad_request`: the whole request is malformed, for every endpoint. If it is False, the header
    only shows no credential that we can use.
    """

    code = "invalid_request"

    def __init__(self, reason: str, *, is_bad_request: bool) -> None:
        super().__init__("the Authorization header cannot be used", reason=reason)
        self.is_bad_request = is_bad_request


class InvalidPageError(TokensvcError):
    """A denylist page that a follower must not apply."""

    code = "invalid_page"
