"""The whole document."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tokensvc.operations.openapi import answers, endpoint_schemas, endpoints, requests
from tokensvc.operations.openapi.schemas import build_schemas, find_name
from tokensvc.operations.table import OPERATIONS, find_thing_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokensvc.operations.openapi.schemas import Schema
    from tokensvc.operations.operation import Operation

_DESCRIPTION: Final = (
    "Exchanges long-lived API keys for short-lived signed tokens. Operations manage accounts, "
    "keys and all else. Their requests and answers are JSON, and a field that is not known is "
    "refused. A problem document (RFC 9457) with a stable `code` tells what is wrong."
)
_TAGS: Final[Mapping[str, str]] = {
    "accounts": "The owners of API keys.",
    "keys": "API keys.",
    "capabilities": "The names that the scope of a token may contain.",
    "audiences": "The services that tokens are for.",
    "tiers": "Named sets of limits.",
    "usage": "How keys are used.",
    "leaks": "API keys that were found where they should not be.",
    "revocations": "The elements of the denylist.",
    "tokens": "What is known of a token.",
    "followers": "Those who follow the feed of revocations.",
    "signing-keys": "What tokens are signed with.",
    "audit-events": "The audit trail.",
    "audit-trail": "Whether the audit trail is whole.",
    "notices": "Events of which somebody is told.",
    "notice-endpoints": "Who is told: receivers on the web, and mailboxes.",
    "notice-deliveries": "What was sent to whom, and what became of it.",
    "overview": "What is going on.",
    "whoami": "Who the caller is.",
    "oauth": "Tokens: get, revoke, ask.",
    "published": "What relying parties fetch.",
    "health": "For those who run the service.",
    "doctor": "Faults of the set-up, and what mends them.",
}
_SECURITY_SCHEMES: Final[Schema] = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token for the audience `tokensvc`, got with `scope=tokensvc:...`.",
    },
    "apiKey": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "API key",
        "description": "An API key itself.",
    },
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "The id of an API key as the name, the API key as the password.",
    },
}
# What only the API key itself may do, so that a stolen token never becomes a key.
_BY_KEY_ONLY: Final = frozenset({"keys.rotate-self"})


def build_document(issuer_url: str, version: str, operations_url: str | None = None) -> Schema:
    """Return the document of the service at `issuer_url`.

    `operations_url`: where the operations are, if they have a port of their own.
    """
    schemas = build_schemas(OPERATIONS.values())
    elsewhere = None if operations_url is None else issuer_url
    paths: dict[str, Schema] = {}
    for operation in OPERATIONS.values():
        item = paths.setdefault(operation.path, {})
        built = _build_operation(operation, schemas)
        if operation.is_open and elsewhere is not None:
            built["servers"] = [{"url": elsewhere}]
        item[operation.method.lower()] = built
    _drop_what_stands_elsewhere(schemas)
    paths |= endpoints.build_paths(issuer_url, elsewhere)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tokensvc",
            "version": version,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": operations_url or issuer_url}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(({**schemas, **endpoint_schemas.SCHEMAS}).items()))
            | {"Problem": answers.PROBLEM},
            "parameters": dict(requests.HEADERS),
            "headers": answers.build_headers(),
            "responses": answers.build_responses() | endpoints.build_responses(),
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


def build_text(document: Schema) -> str:
    """Return the document as JSON that people can compare line by line."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _build_operation(operation: Operation, schemas: Mapping[str, Schema]) -> Schema:
    built: Schema = {
        "operationId": operation.name,
        "tags": [operation.subject],
        "summary": operation.summary,
        "description": _describe_rights(operation),
        "security": _build_security(operation),
        "parameters": requests.build_parameters(operation, schemas),
        "responses": answers.build_answers(operation),
    }
    body = requests.build_body(operation, schemas)
    if body is not None:
        built["requestBody"] = body
    if operation.deprecated_on is not None:
        built["deprecated"] = True
    links = _build_links(operation)
    if links:
        built["responses"][str(operation.status)]["links"] = links
    return built


def _describe_rights(operation: Operation) -> str:
    if operation.is_open:
        text = "No credential is needed, and one that is shown is not looked at."
    elif not operation.needs:
        text = "Every good credential will do."
    else:
        text = "Needs " + " or ".join(f"`{name}`" for name in operation.needs) + "."
    if operation.name in _BY_KEY_ONLY:
        text = "The API key itself must be shown; a token will not do."
    if operation.fresh:
        text += " The API key must have been shown within the last ten minutes."
    return text


def _build_security(operation: Operation) -> list[dict[str, list[Any]]]:
    if operation.is_open:
        return [{}]
    names = ["apiKey", "basic"] if operation.name in _BY_KEY_ONLY else list(_SECURITY_SCHEMES)
    return [{name: []} for name in names]


def _build_links(operation: Operation) -> Schema:
    """Return what can be done with a thing that was just made."""
    place = find_thing_path(operation) if operation.status == 201 else None  # noqa: PLR2004
    if place is None:
        return {}
    name = place[place.rindex("{") + 1 : -1]
    if name not in operation.response.model_fields:
        return {}
    return {
        other.name: {
            "operationId": other.name,
            "parameters": {f"path.{name}": f"$response.body#/{name}"},
        }
        for other in OPERATIONS.values()
        if other.subject == operation.subject and other.path_parameters == (name,)
    }


def _drop_what_stands_elsewhere(schemas: dict[str, Schema]) -> None:
    """Leave of the schemas of requests only what stands in bodies."""
    for operation in OPERATIONS.values():
        name = find_name(operation.request)
        if name in schemas:
            requests.drop_path_fields(operation, schemas)
            if not operation.changes or not schemas[name]["properties"]:
                del schemas[name]
