"""Problem documents (RFC 9457): the codes, and what each means for a reader."""

from __future__ import annotations

from typing import Final

MEDIA_TYPE: Final = "application/problem+json"
TITLES: Final = {
    "server_error": "The service failed",
    "temporarily_unavailable": "The service is not available right now",
    "revocation_pending": "The revocation may or may not have happened",
    "not_found": "There is no such thing",
    "invalid_request": "The request is malformed",
    "invalid_input": "A value cannot be accepted",
    "conflict": "The state of the thing does not allow this",
    "forbidden": "The caller may not do this",
    "version_conflict": "The thing was changed meanwhile",
    "idempotency_key_reused": "The Idempotency-Key belongs to another request",
    "outcome_unknown": "The change may or may not have happened",
    "invalid_client": "The API key is not accepted",
    "rate_limit_exceeded": "A limit is used up",
    "insufficient_user_authentication": "The API key was shown too long ago",
    "method_not_allowed": "This method is not allowed here",
    "content_too_large": "The body is too large",
    "unsupported_media_type": "This content type is not supported",
    "missing_token": "A credential is needed",
    "invalid_token": "The access token is not accepted",
    "insufficient_scope": "A capability is missing",
    "request_timeout": "The body did not arrive in time",
}


def build_problem(status: int, code: str, detail: str) -> dict[str, object]:
    """Return a problem document, up to its last member, which is the id of the request."""
    return {
        "type": f"urn:tokensvc:problem:{code}",
        "title": TITLES.get(code, code),
        "status": status,
        "detail": detail,
        "code": code,
    }
