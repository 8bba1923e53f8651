"""What goes in and comes out of the endpoints that are not operations, as JSON schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokensvc.operations.openapi.schemas import describe_codes
from tokensvc.operations.problem import TITLES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokensvc.operations.openapi.schemas import Schema

_OAUTH_TITLES: Final[Mapping[str, str]] = {
    **TITLES,
    "invalid_scope": "A capability is not the caller's to ask for, or `scope` must name one",
    "invalid_target": "There is no such audience, or it is not the caller's to ask for",
    "unsupported_grant_type": "`grant_type` is none of the two",
}
_OAUTH_CODES: Final = (
    "invalid_request", "invalid_client", "invalid_scope", "invalid_target", "invalid_token",
    "insufficient_scope", "unsupported_grant_type", "rate_limit_exceeded", "request_timeout",
    "content_too_large", "unsupported_media_type", "method_not_allowed", "server_error",
    "temporarily_unavailable", "revocation_pending",
)  # fmt: skip


def build_text(description: str) -> Schema:
    """Return the schema of a text."""
    return {"type": "string", "description": description}


def _build_number(description: str) -> Schema:
    return {"type": "integer", "description": description}


_BEARER: Final[Schema] = {"const": "Bearer", "description": "Always `Bearer`."}

TOKEN_FIELDS: Final[Mapping[str, Schema]] = {
    "grant_type": build_text(
        "`client_credentials`, or `urn:ietf:params:oauth:grant-type:token-exchange`; absent only "
        "with an API key as Bearer."
    ),
    "scope": build_text(
        "The capabilities that are wanted, separated by single spaces; absent: all that the key "
        "or the token has and that do not begin with `tokensvc:`."
    ),
    "audience": build_text(
        "Whom the token is for; absent: the audience of the subject token, or the default "
        "audience, or the only one that the key may ask for."
    ),
    "resource": build_text("The same as `audience`, if that is a URI (RFC 8707)."),
    "expires_in": build_text(
        "How many seconds the token lives, which never makes its life longer; absent: as long as "
        "tokens for this audience do."
    ),
    "subject_token": build_text(
        "The API key or the token that is exchanged, with the token-exchange grant alone."
    ),
    "subject_token_type": build_text(
        "What `subject_token` is: `urn:tokensvc:params:oauth:token-type:api-key`, or for a token "
        "`urn:ietf:params:oauth:token-type:access_token` or `...:jwt`."
    ),
    "requested_token_type": build_text(
        "`urn:ietf:params:oauth:token-type:access_token`, as if it was absent, or `...:jwt`."
    ),
}
CLIENT_FIELDS: Final[Mapping[str, Schema]] = {
    "client_id": build_text("The id of the API key that the client shows, as with Basic."),
    "client_secret": build_text(
        "The API key of the client; absent: it stands in `Authorization`, or no client is shown."
    ),
}
REVOCATION_FIELDS: Final[Mapping[str, Schema]] = {
    "token": build_text("The token or the API key that is to be revoked."),
    "token_type_hint": build_text("It is not looked at (RFC 7009 section 2.1)."),
}
INTROSPECTION_FIELDS: Final[Mapping[str, Schema]] = {
    "token": build_text("The token that is asked about."),
}
ALIVE: Final[Schema] = {
    "type": "object",
    "required": ["status"],
    "properties": {"status": {"const": "alive", "description": "Always `alive`."}},
}

SCHEMAS: Final[Mapping[str, Schema]] = {
    "OAuthError": {
        "type": "object",
        "description": "Why a request was refused (RFC 6749 section 5.2).",
        "required": ["error", "error_description"],
        "properties": {
            "error": {
                "type": "string",
                "enum": list(_OAUTH_CODES),
                "description": "What is wrong, for programs. "
                + describe_codes(_OAUTH_CODES, _OAUTH_TITLES),
            },
            "error_description": build_text("For people: what was wrong."),
        },
    },
    "TokenAnswer": {
        "type": "object",
        "description": "A token that was issued (RFC 6749 section 5.1).",
        "required": ["access_token", "token_type", "expires_in", "scope"],
        "properties": {
            "access_token": build_text("The token, a signed JWT (RFC 9068)."),
            "token_type": _BEARER,
            "expires_in": _build_number("How many seconds the token lives."),
            "scope": build_text("The capabilities of the token, separated by spaces."),
            "issued_token_type": build_text(
                "The type of the token (RFC 8693 section 2.2.1); absent unless it was a token "
                "exchange."
            ),
        },
    },
    "Introspection": {
        "type": "object",
        "description": "What a live token says, with the claims of its key beside these. If it is "
        "not live, only `active` is told (RFC 7662).",
        "required": ["active"],
        "properties": {
            "active": {
                "type": "boolean",
                "description": "Whether it is a live token of this service.",
            },
            "token_type": _BEARER,
            "iss": build_text("The URL of the service that issued it."),
            "sub": build_text("The id of the account."),
            "aud": build_text("The audience that the token is for."),
            "jti": build_text("The id of the token."),
            "client_id": build_text("The id of the API key."),
            "scope": build_text("Its capabilities, separated by spaces."),
            "iat": _build_number("When it was issued, in seconds since 1970."),
            "exp": _build_number("When it expires, in seconds since 1970."),
        },
    },
    "JsonWebKeySet": {
        "type": "object",
        "description": "The public halves of the signing keys (RFC 7517).",
        "required": ["keys"],
        "properties": {
            "keys": {
                "type": "array",
                "description": "The keys, also of those that sign next or have just stopped.",
                "items": {"type": "object"},
            }
        },
    },
    "Metadata": {
        "type": "object",
        "description": "Where the endpoints are, and what they can do (RFC 8414 section 2).",
        "required": ["issuer", "token_endpoint", "jwks_uri"],
        "properties": {
            "issuer": build_text("The URL of the service, as it stands in tokens."),
            "token_endpoint": build_text("Where tokens are asked for."),
            "jwks_uri": build_text("Where the keys that sign are published."),
        },
    },
    "Root": {
        "type": "object",
        "description": "What this is, and where everything else is.",
        "required": ["name", "version", "issuer", "links"],
        "properties": {
            "name": {"const": "tokensvc", "description": "Always `tokensvc`."},
            "version": build_text("The version of the program."),
            "issuer": build_text("The URL of the service, as it stands in tokens."),
            "links": {
                "type": "object",
                "description": "The URL of each endpoint, by its name.",
                "additionalProperties": {"type": "string"},
            },
        },
    },
    "Readiness": {
        "type": "object",
        "description": "Whether traffic may be sent to this process.",
        "required": ["status", "checks"],
        "properties": {
            "status": {
                "enum": ["ready", "not ready"],
                "description": "`ready` if every check holds.",
            },
            "checks": {
                "type": "object",
                "description": "What must hold, and whether it does.",
                "additionalProperties": {"type": "boolean"},
            },
            "warnings": {
                "type": "array",
                "description": "What an operator must look at; absent: nothing.",
                "items": {"type": "string"},
            },
        },
    },
}
