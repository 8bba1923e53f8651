"""What an operation may answer: headers, problems and their examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tokensvc.operations.openapi.schemas import describe_codes, find_name, refer
from tokensvc.operations.operation import KEY_OWNERS
from tokensvc.operations.problem import MEDIA_TYPE, TITLES, build_problem
from tokensvc.operations.table import find_thing_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokensvc.operations.openapi.schemas import Schema
    from tokensvc.operations.operation import Operation


class RefusalAnswer(NamedTuple):
    """A status that says why not, the codes that may stand in its problem, and its headers."""

    status: int
    description: str
    codes: tuple[str, ...]
    headers: tuple[str, ...] = ()


_CREDENTIAL: Final = ("missing_token", "invalid_token", "invalid_client")
_STALE: Final = "insufficient_user_authentication"

REFUSALS: Final[Mapping[str, RefusalAnswer]] = {
    "BadRequest": RefusalAnswer(400, "A value is wrong.", ("invalid_input", "invalid_request")),
    "Unauthorized": RefusalAnswer(401, "No good credential.", _CREDENTIAL, ("WWW-Authenticate",)),
    "NotFresh": RefusalAnswer(
        401,
        "No good credential, or the API key was shown too long ago (RFC 9470).",
        (*_CREDENTIAL, _STALE),
        ("WWW-Authenticate",),
    ),
    "LacksCapability": RefusalAnswer(
        403, "The caller lacks a capability.", ("insufficient_scope",), ("WWW-Authenticate",)
    ),
    "Forbidden": RefusalAnswer(
        403, "The caller may not do this.", ("insufficient_scope", "forbidden")
    ),
    "NotFound": RefusalAnswer(404, "No such thing, or none that the caller sees.", ("not_found",)),
    "MethodNotAllowed": RefusalAnswer(405, "Not this method.", ("method_not_allowed",), ("Allow",)),
    "RequestTimeout": RefusalAnswer(408, "The body came too slowly.", ("request_timeout",)),
    "Conflict": RefusalAnswer(409, "The state of the thing does not allow this.", ("conflict",)),
    "VersionConflict": RefusalAnswer(412, "It was changed meanwhile.", ("version_conflict",)),
    "ContentTooLarge": RefusalAnswer(413, "The body is too large.", ("content_too_large",)),
    "UnsupportedMediaType": RefusalAnswer(415, "Send JSON in UTF-8.", ("unsupported_media_type",)),
    "IdempotencyKeyReused": RefusalAnswer(
        422, "The name belongs to another request.", ("idempotency_key_reused",)
    ),
    "RateLimited": RefusalAnswer(
        429,
        "A limit is used up.",
        ("rate_limit_exceeded",),
        ("Retry-After", "RateLimit", "RateLimit-Policy"),
    ),
    "ServerError": RefusalAnswer(500, "A fault of the service.", ("server_error",)),
    "Unavailable": RefusalAnswer(
        503, "The service cannot answer now.", ("temporarily_unavailable",), ("Retry-After",)
    ),
    "OutcomeUnknown": RefusalAnswer(
        503,
        "The service cannot answer now, or the change may or may not have happened.",
        ("temporarily_unavailable", "revocation_pending", "outcome_unknown"),
        ("Retry-After",),
    ),
}
HEADERS: Final[Mapping[str, str]] = {
    "X-Request-Id": "The name of this request in the log and in the audit trail.",
    "ETag": "The version of the thing.",
    "Location": "The path of the new thing.",
    "RateLimit": "What is left of the limit (draft-ietf-httpapi-ratelimit-headers).",
    "RateLimit-Policy": "The limit.",
    "Retry-After": "In how many seconds to try again.",
    "WWW-Authenticate": "How to authenticate (RFC 9110, RFC 6750, RFC 9470).",
    "Idempotent-Replayed": "`true` if this is the answer to an earlier request.",
    "Deprecation": "Since when nobody should call this (RFC 9745).",
    "Sunset": "When this will be gone (RFC 8594).",
    "Allow": "The methods that would do.",
}
# X-Request-Id is not among them: what is refused before there is a request has no id.
_ALWAYS: Final = frozenset({"ETag", "Retry-After", "WWW-Authenticate"})
PROBLEM: Final[Schema] = {
    "type": "object",
    "description": "Why a request was refused (RFC 9457). Programs look at `code`.",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {
            "type": "string",
            "pattern": "^urn:tokensvc:problem:[a-z_]+$",
            "description": "The `code` as a URN.",
        },
        "title": {"type": "string", "description": "What the `code` means, in a few words."},
        "status": {"type": "integer", "description": "The status of the answer."},
        "detail": {"type": "string", "description": "For people: what was wrong this time."},
        "code": {
            "type": "string",
            "enum": sorted(TITLES),
            "description": "What is wrong, for programs; a code never changes its meaning. "
            + describe_codes(sorted(TITLES), TITLES),
        },
        "request_id": {
            "type": "string",
            "description": "As `X-Request-Id`: the log and the audit trail have it too.",
        },
        "errors": {
            "type": "array",
            "description": "What is wrong, field by field; absent if it is no single field.",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {
                    "pointer": {
                        "type": "string",
                        "description": "Where it is: `#/name` in the body, `#/query/limit`, "
                        "`#/path/id`, `#/header/If-Match`.",
                    },
                    "detail": {"type": "string", "description": "For people: what is wrong."},
                },
            },
        },
        "needs_one_of": {
            "type": "array",
            "description": "With `insufficient_scope`: one of these would do.",
            "items": {"type": "string"},
        },
    },
}
# Where the fault lies in the example of a problem, if it lies at one place.
_POINTERS: Final = {
    "invalid_input": "#/name",
    "not_found": "#/path/id",
    "version_conflict": "#/header/If-Match",
    "content_too_large": "#",
    "unsupported_media_type": "#/header/Content-Type",
    "idempotency_key_reused": "#/header/Idempotency-Key",
}


def build_answers(operation: Operation) -> dict[str, Schema]:
    """Return all that an operation may answer, by status."""
    headers = ["X-Request-Id", "RateLimit", "RateLimit-Policy"]
    headers += ["ETag"] if operation.has_version else []
    headers += ["Idempotent-Replayed"] if operation.idempotent_by_key else []
    headers += ["Deprecation"] if operation.deprecated_on else []
    headers += ["Sunset"] if operation.ends_on else []
    found = {}
    if operation.has_version and not operation.changes:
        found["304"] = {
            "description": "The copy of the caller is still good.",
            "headers": {name: refer("headers", name) for name in headers},
        }
    if operation.status == 201 and find_thing_path(operation):  # noqa: PLR2004
        headers.append("Location")
    done: Schema = {
        "description": "Done.",
        "headers": {name: refer("headers", name) for name in headers},
        "content": {
            "application/json": {"schema": refer("schemas", find_name(operation.response))}
        },
    }
    answers = {str(operation.status): done} | found
    for name in list_refusals(operation):
        answers[str(REFUSALS[name].status)] = refer("responses", name)
    return answers


def list_refusals(operation: Operation) -> list[str]:
    """Return which of REFUSALS an operation may answer."""
    if operation.is_open:
        return [
            "BadRequest", "RequestTimeout", "ContentTooLarge", "UnsupportedMediaType",
            "RateLimited", "ServerError", "OutcomeUnknown",
        ]  # fmt: skip
    names = ["BadRequest", "NotFresh" if operation.fresh else "Unauthorized"]
    if operation.needs or operation.changes:
        may_forbid = operation.changes and operation.needs in {KEY_OWNERS, ()}
        names.append("Forbidden" if may_forbid else "LacksCapability")
    names.append("NotFound")
    if operation.changes:
        names += ["RequestTimeout", "Conflict"]
    names += ["VersionConflict"] if operation.obeys_if_match else []
    if operation.changes:
        names += ["ContentTooLarge", "UnsupportedMediaType"]
    names += ["IdempotencyKeyReused"] if operation.idempotent_by_key else []
    names += ["RateLimited", "ServerError"]
    return [*names, "OutcomeUnknown" if operation.changes else "Unavailable"]


def build_responses() -> dict[str, Schema]:
    """Return the refusals as components."""
    return {name: _build_refusal(refusal) for name, refusal in REFUSALS.items()}


def _build_refusal(refusal: RefusalAnswer) -> Schema:
    about = describe_codes(refusal.codes, TITLES)
    said = {"code": {"type": "string", "enum": list(refusal.codes), "description": about}}
    schema = {"allOf": [refer("schemas", "Problem"), {"properties": said}]}
    examples = {code: {"value": _build_example(refusal.status, code)} for code in refusal.codes}
    names = ("X-Request-Id", *refusal.headers)
    content: Schema = {MEDIA_TYPE: {"schema": schema, "examples": examples}}
    if refusal.status == 400:  # noqa: PLR2004
        # A line of more than 8,190 bytes, or one that is not HTTP, is refused before anybody knows
        # for which path it was.
        content["application/json"] = {"schema": refer("schemas", "OAuthError")}
    return {
        "description": refusal.description,
        "headers": {name: refer("headers", name) for name in names},
        "content": content,
    }


def _build_example(status: int, code: str) -> Schema:
    problem: Schema = build_problem(status, code, TITLES[code])
    problem["request_id"] = "0123456789abcdef"
    if code in _POINTERS:
        problem["errors"] = [{"pointer": _POINTERS[code], "detail": problem["detail"]}]
    return problem


def build_headers() -> dict[str, Schema]:
    """Return the headers of answers as components."""
    return {
        name: {"description": text, "required": name in _ALWAYS, "schema": {"type": "string"}}
        for name, text in HEADERS.items()
    }
