"""Endpoints that are not operations: tokens, revocation, the feed, published documents, health."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from tokensvc.operations.openapi.endpoint_schemas import (
    ALIVE,
    CLIENT_FIELDS,
    INTROSPECTION_FIELDS,
    REVOCATION_FIELDS,
    TOKEN_FIELDS,
)
from tokensvc.operations.openapi.schemas import refer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokensvc.operations.openapi.schemas import Schema

_TEXT: Final = {"type": "string"}
_FORM: Final = "application/x-www-form-urlencoded"
_CLIENT: Final[list[Schema]] = [{"apiKey": []}, {"basic": []}, {}]
_CALLER: Final[list[Schema]] = [{"token": []}, {"apiKey": []}, {"basic": []}]
_OAUTH_REFUSALS: Final[Mapping[str, tuple[str, str]]] = {
    "400": ("OAuthBadRequest", "The request is wrong (RFC 6749 section 5.2)."),
    "401": ("OAuthUnauthorized", "No good credential."),
    "403": ("OAuthForbidden", "The caller lacks a capability."),
    "408": ("OAuthRequestTimeout", "The body came too slowly."),
    "413": ("OAuthContentTooLarge", "The body is too large."),
    "415": ("OAuthUnsupportedMediaType", "Send a form, not compressed."),
    "429": ("OAuthRateLimited", "A limit is used up; `Retry-After` says for how long."),
    "500": ("OAuthServerError", "A fault of the service."),
    "503": ("OAuthUnavailable", "It cannot answer now; `Retry-After` says when to try again."),
}


def build_responses() -> dict[str, Schema]:
    """Return the refusals of the OAuth endpoints as components."""
    return {
        name: _answer(text, refer("schemas", "OAuthError"))
        for name, text in _OAUTH_REFUSALS.values()
    }


def build_paths(issuer_url: str, elsewhere: str | None) -> dict[str, Schema]:
    """Return the paths of these endpoints.

    `elsewhere`: their URL, if it is another than the document's.
    """
    prefix = urlsplit(issuer_url).path
    origin = issuer_url.removesuffix(prefix) if prefix else elsewhere
    below: dict[str, Schema] = {**_build_oauth(), **_build_published()}
    at_root: dict[str, Schema] = {
        f"/.well-known/oauth-authorization-server{prefix}": {
            "get": _build_metadata("metadata.oauth")
        },
        **_build_health(),
    }
    return _name_server(below, elsewhere) | _name_server(at_root, origin)


def _name_server(paths: dict[str, Schema], url: str | None) -> dict[str, Schema]:
    if url is None:
        return paths
    return {path: {"servers": [{"url": url}], **item} for path, item in paths.items()}


def _answer(text: str, schema: Schema, content_type: str = "application/json") -> Schema:
    return {
        "description": text,
        "headers": {"X-Request-Id": refer("headers", "X-Request-Id")},
        "content": {content_type: {"schema": schema}},
    }


def _build_form(
    name: str, summary: str, about: str, fields: Mapping[str, Schema], answer: Schema, *,
    security: list[Schema], required: tuple[str, ...] = (), example: Schema,
) -> Schema:  # fmt: skip
    schema: Schema = {"type": "object", "properties": {**fields, **CLIENT_FIELDS}}
    if required:
        schema["required"] = list(required)
    refusals = {
        status: refer("responses", refusal) for status, (refusal, _) in _OAUTH_REFUSALS.items()
    }
    return {
        "post": {
            "operationId": name,
            "tags": ["oauth"],
            "summary": summary,
            "description": about,
            "security": security,
            "requestBody": {
                "required": bool(required),
                "content": {_FORM: {"schema": schema, "example": example}},
            },
            "responses": {"200": answer, **refusals},
        }
    }


def _build_oauth() -> dict[str, Schema]:
    shown = {"token": "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"}
    issued = _answer("A token.", refer("schemas", "TokenAnswer"))
    for name in ("RateLimit", "RateLimit-Policy"):
        issued["headers"][name] = refer("headers", name)
    nothing: Schema = {"type": "object", "maxProperties": 0}
    revoked = _answer("It is revoked, or was not known (RFC 7009 section 2.2).", nothing)
    return {
        "/v1/token": _build_form(
            "token.exchange", "Exchange an API key for a token (RFC 6749, RFC 8693).",
            "Show the API key as Bearer, as a client, or as `subject_token`, which may also be a "
            "token that is to be narrowed.",
            TOKEN_FIELDS, issued, security=_CLIENT,
            example={"scope": "orders:read", "audience": "orders-api"},
        ),
        "/v1/revoke": _build_form(
            "token.revoke", "Revoke a token or an API key that you hold (RFC 7009).",
            "To hold it is enough: no client need be shown, and one that is shown must be good.",
            REVOCATION_FIELDS, revoked, security=_CLIENT, required=("token",), example=shown,
        ),
        "/v1/introspect": _build_form(
            "token.introspect", "Ask whether a token is live (RFC 7662).",
            "Needs `tokensvc:introspect`.",
            INTROSPECTION_FIELDS, _answer("What it says.", refer("schemas", "Introspection")),
            security=_CALLER, required=("token",), example=shown,
        ),
    }  # fmt: skip


def _build_get(
    name: str, tag: str, summary: str, answers: Schema, about: str = "It is open to everybody."
) -> Schema:
    return {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        "description": about,
        "security": [],
        "responses": {**answers, "500": refer("responses", "ServerError")},
    }


def _build_metadata(name: str) -> Schema:
    return _build_get(
        name, "published", "Say where everything is (RFC 8414).", _build_copy("Metadata")
    )


def _build_copy(schema: str) -> Schema:
    answer = _answer("The document.", refer("schemas", schema))
    answer["headers"]["ETag"] = refer("headers", "ETag")
    return {"200": answer, "304": {"description": "The copy of the caller is still good."}}


def _build_published() -> dict[str, Schema]:
    return {
        "/": {"get": _build_get("root.show", "published", "Say what this is.", {
            "200": _answer("Where everything is.", refer("schemas", "Root")),
            "303": {"description": "A browser is sent to the dashboard."},
        })},
        "/v1/denylist": _build_feed(),
        "/v1/audit-heads": _build_audit_heads(),
        "/.well-known/jwks.json": {
            "get": _build_get(
                "jwks.show", "published", "Publish the keys that sign (RFC 7517).",
                _build_copy("JsonWebKeySet"),
            )
        },
        "/.well-known/openid-configuration": {"get": _build_metadata("metadata.openid")},
    }  # fmt: skip


def _build_feed() -> Schema:
    page = _answer("A signed page.", _TEXT, "application/denylist+jwt")
    wait = _build_parameter("wait", "How many seconds to wait for news; absent: none.") | {
        "schema": {"type": "integer", "minimum": 0, "maximum": 30, "default": 0}
    }
    after = _build_parameter("after", "The `cursor` of the page before; absent: all in force.")
    name = _build_parameter(
        "follower", "How the follower calls itself, so that operators see it; absent: they do not."
    )
    read = _build_for_followers("denylist.follow", "Follow the feed of revocations.", page)
    leave = _build_for_followers(
        "denylist.leave",
        "Stop following: forget this follower.",
        {"description": "It is forgotten."},
        status="204",
    )
    read["parameters"] = [after, wait, name]
    leave["parameters"] = [
        name | {"required": True, "description": "How the follower calls itself."}
    ]
    return {"get": read, "delete": leave}


def _build_audit_heads() -> Schema:
    head = _answer("A signed statement.", _TEXT, "application/audit-head+jwt")
    summary = "Tell what the audit trail holds now, for followers that were away."
    ask = _build_for_followers("audit-heads.show", summary, head)
    number = _build_parameter("number", "The number of an event.")
    ask["parameters"] = [
        number
        | {"required": True, "schema": {"type": "integer", "minimum": 1, "maximum": 10**18 - 1}}
    ]
    return {"get": ask}


def _build_for_followers(name: str, summary: str, answer: Schema, status: str = "200") -> Schema:
    refusals = {
        "400": refer("responses", "BadRequest"),
        "401": refer("responses", "Unauthorized"),
        "403": refer("responses", "LacksCapability"),
        "503": refer("responses", "Unavailable"),
    }
    about = (
        "It is open to everybody, unless TOKENSVC_FEED_AUTHENTICATION says that followers need a "
        "token with `tokensvc:denylist`. A token that is shown must be good."
    )
    built = _build_get(name, "published", summary, {status: answer, **refusals}, about)
    return built | {"security": [{}, {"token": []}]}


def _build_parameter(name: str, description: str) -> Schema:
    place = {"name": name, "in": "query", "required": False}
    return place | {"description": description, "schema": _TEXT}


def _build_health() -> dict[str, Schema]:
    ready = refer("schemas", "Readiness")
    text = {"text/plain": {"schema": _TEXT}, "application/openmetrics-text": {"schema": _TEXT}}
    metrics = _answer("All that is counted.", _TEXT, "text/plain") | {"content": text}
    return {
        "/livez": {
            "get": _build_get("health.live", "health", "Say that the process runs.",
                              {"200": _answer("It runs.", ALIVE)})
        },
        "/readyz": {
            "get": _build_get("health.ready", "health", "Say whether traffic may be sent here.", {
                "200": _answer("Traffic may be sent here.", ready),
                "503": _answer("No traffic must be sent here.", ready),
            })
        },
        "/metrics": {
            "get": _build_get(
                "health.metrics", "health",
                "Counts for Prometheus, unless metrics have a port of their own.",
                {"200": metrics},
            )
        },
    }  # fmt: skip
