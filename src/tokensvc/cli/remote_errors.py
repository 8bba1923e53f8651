"""The one map from the problem documents of the service (RFC 9457) back to errors.

A command that is refused by a service far away says the same, and ends with the same exit code, as
one on the machine of the service. The map in the other direction is `web/problems.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tokensvc.core import errors
from tokensvc.core.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Problem = Mapping[str, Any]


class CredentialRefusedError(errors.TokensvcError):
    """There is no API key, or the service does not accept it."""

    code = "credential_refused"


class RemoteLimitError(errors.UnavailableError):
    """The service has answered that a limit is used up."""

    code = "rate_limit_exceeded"


def _build_invalid_input(problem: Problem) -> errors.TokensvcError:
    faults = [Fault(str(f["pointer"]), str(f["detail"])) for f in problem.get("errors", [])]
    return errors.InvalidInputError(problem["detail"], faults=faults)


def _build_refused(problem: Problem) -> errors.TokensvcError:
    return CredentialRefusedError(f"the service refuses the API key: {problem['detail']}")


def _build_forbidden(problem: Problem) -> errors.TokensvcError:
    needed = " or ".join(problem.get("needs_one_of", []))
    end = f": this needs {needed}" if needed else ""
    return errors.ForbiddenError(f"{problem['detail']}{end}")


_BUILDERS: Final[dict[str, Callable[[Problem], errors.TokensvcError]]] = {
    "invalid_input": _build_invalid_input,
    "invalid_request": lambda problem: errors.InvalidRequestError(problem["detail"]),
    "not_found": lambda problem: errors.NotFoundError(problem["detail"]),
    "conflict": lambda problem: errors.ConflictError(problem["detail"]),
    "forbidden": lambda problem: errors.ForbiddenError(problem["detail"]),
    "version_conflict": lambda _: errors.VersionConflictError(),
    "idempotency_key_reused": lambda _: errors.IdempotencyKeyReusedError(),
    "insufficient_scope": _build_forbidden,
    "insufficient_user_authentication": _build_forbidden,
    "missing_token": _build_refused,
    "invalid_token": _build_refused,
    "invalid_client": _build_refused,
    "rate_limit_exceeded": lambda problem: RemoteLimitError(problem["detail"]),
    "temporarily_unavailable": lambda problem: errors.UnavailableError(problem["detail"]),
    "revocation_pending": lambda problem: errors.OutcomeUnknownError(problem["detail"]),
    "outcome_unknown": lambda _: errors.ChangeUnknownError(),
    "content_too_large": lambda problem: errors.InvalidRequestError(problem["detail"]),
    "method_not_allowed": lambda problem: errors.InvalidRequestError(problem["detail"]),
    "unsupported_media_type": lambda problem: errors.InvalidRequestError(problem["detail"]),
    "request_timeout": lambda problem: errors.UnavailableError(problem["detail"]),
}


def build_error(problem: Problem) -> errors.TokensvcError:
    """Return the error that a problem document tells of. Its `detail` must be a text."""
    build = _BUILDERS.get(str(problem.get("code")))
    if build is None:
        return errors.TokensvcError(
            f"the service failed: {problem['detail']} (request {problem.get('request_id')})"
        )
    return build(problem)
