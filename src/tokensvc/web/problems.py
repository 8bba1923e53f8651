"""The one map from errors to answers.

OAuth endpoints answer as RFC 6749 section 5.2 says, all others with problem documents (RFC 9457).
What is not in the map is a fault of ours: a general 500 outside, and the traceback in the log.
"""

from __future__ import annotations

import functools
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from aiohttp import web

from tokensvc.core import errors
from tokensvc.logs.masking import mask_secrets
from tokensvc.operations.problem import MEDIA_TYPE as PROBLEM
from tokensvc.operations.problem import TITLES, build_problem
from tokensvc.web.cors import ANY_ORIGIN, PUBLIC_PATHS
from tokensvc.web.limit_headers import write_policy, write_rest
from tokensvc.web.whole_answer import WholeAnswer, write_fields

if TYPE_CHECKING:
    from collections.abc import Callable

OAUTH_PATHS: Final = ("/v1/token", "/v1/revoke", "/v1/introspect")
JSON: Final = "application/json; charset=utf-8"
_PROBLEM_JSON: Final = f"{PROBLEM}; charset=utf-8"
NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}

_STATUS: Final[dict[type, int]] = {
    errors.InvalidClientError: 401,
    errors.RateLimitedError: 429,
    errors.OAuthError: 400,
    errors.InvalidInputError: 400,
    errors.ForbiddenError: 403,
    errors.NotFoundError: 404,
    errors.VersionConflictError: 412,
    errors.ContentTooLargeError: 413,
    errors.UnsupportedMediaTypeError: 415,
    errors.IdempotencyKeyReusedError: 422,
    errors.ConflictError: 409,
    errors.UnavailableError: 503,
}
_HTTP_CODES: Final = {
    400: "invalid_request",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "content_too_large",
    415: "unsupported_media_type",
}
# Where aiohttp refuses by itself, and the title alone would help nobody.
_HTTP_TEXTS: Final = {404: "Nothing is served at this path"}


def build_answer(
    error: Exception, *, path: str, request_id: str, find_challenge: Callable[[], str]
) -> tuple[WholeAnswer, str]:
    """Return the answer that `error` becomes, and the reason for the log.

    `find_challenge` returns the authentication scheme that was tried; few answers name it.
    """
    status, code, message, headers = judge_error(error)
    reason = error.reason if isinstance(error, errors.TokensvcError) else code
    if status == HTTPStatus.UNAUTHORIZED and "WWW-Authenticate" not in headers:
        headers["WWW-Authenticate"] = f'{find_challenge()} realm="tokensvc", error="{code}"'
    headers |= NO_STORE
    # The path of the issuer may stand in front of it.
    if path.endswith(PUBLIC_PATHS):  # a script must be able to see why it is refused
        headers |= ANY_ORIGIN
    if path.endswith(OAUTH_PATHS):
        headers["Content-Type"] = JSON
        body = _build_oauth_body(code, message)
    else:
        headers["Content-Type"] = _PROBLEM_JSON
        more = _list_more(error)
        end = b", " + json.dumps(more)[1:].encode() if more else b"}"
        # The id is of our own making, or made of characters that need no escape.
        body = b'%s"%s"%s' % (_build_problem_head(status, code, message), request_id.encode(), end)
    return WholeAnswer(body, write_fields(headers), status), reason


@functools.lru_cache(maxsize=256)  # nearly all messages are constant
def _build_oauth_body(code: str, message: str) -> bytes:
    return json.dumps({"error": code, "error_description": mask_secrets(message)}).encode()


@functools.lru_cache(maxsize=256)
def _build_problem_head(status: int, code: str, message: str) -> bytes:
    """Return a problem document up to its last member, the id of the request."""
    problem = build_problem(status, code, mask_secrets(message))
    return json.dumps(problem)[:-1].encode() + b', "request_id": '


def _list_more(error: Exception) -> dict[str, object]:
    """Return what only some problems say."""
    if isinstance(error, errors.TokensvcError) and error.faults:
        # A fault may repeat what was sent.
        return {
            "errors": [
                {"pointer": mask_secrets(fault.pointer), "detail": mask_secrets(fault.detail)}
                for fault in error.faults
            ]
        }
    if isinstance(error, errors.InsufficientScopeError) and error.one_of:
        return {"needs_one_of": list(error.one_of)}
    return {}


def judge_error(error: Exception) -> tuple[int, str, str, dict[str, str]]:
    """Return status, code, message and headers of an error."""
    if isinstance(error, web.HTTPException):
        return _judge_http(error)
    if isinstance(error, errors.BearerError):
        return error.status, error.code, error.message, error.headers
    if isinstance(error, errors.TokensvcError):
        # The nearest class of the error that the map has decides.
        status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)
        if status != HTTPStatus.INTERNAL_SERVER_ERROR:
            return status, error.code, error.message, _when_to_retry(error)
    return 500, "server_error", "the service failed; its log has the cause under the request id", {}


def _when_to_retry(error: errors.TokensvcError) -> dict[str, str]:
    if isinstance(error, errors.RateLimitedError):
        return {
            "Retry-After": str(error.retry_after),
            "RateLimit-Policy": write_policy(error.policy, error.limit, error.window),
            "RateLimit": write_rest(error.policy, 0, error.retry_after),
        }
    if isinstance(error, errors.UnavailableError):
        return {"Retry-After": str(error.retry_after)}
    return {}


def _judge_http(error: web.HTTPException) -> tuple[int, str, str, dict[str, str]]:
    status = error.status
    code = _HTTP_CODES.get(status, "invalid_request")
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = error.headers["Allow"]
        return status, code, f"use {', '.join(allowed.split(','))}", {"Allow": allowed}
    of_aiohttp = (f"{status}: ", "Maximum request body size")
    if error.text and not error.text.startswith(of_aiohttp):  # ours: it says what would do
        return status, code, error.text, {}
    title = _HTTP_TEXTS.get(status) or TITLES.get(code, code)
    return status, code, title[0].lower() + title[1:], {}
