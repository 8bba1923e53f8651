"""The request of an operation as parameters and body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokensvc.operations.openapi.examples import REQUESTS
from tokensvc.operations.openapi.schemas import find_name, refer, unwrap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokensvc.operations.openapi.schemas import Schema
    from tokensvc.operations.operation import Operation

# The parameters in headers that some operations know.
HEADERS: Final[Mapping[str, Schema]] = {
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "The caller's name for this request. To repeat it within a day creates "
        "nothing; the answer is that of the first request.",
        "schema": {"type": "string", "pattern": "^[!#-~]{1,255}$"},
        "example": "order-4711",
    },
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "description": "The ETag that the caller has read. If the thing was changed since, the "
        "answer is 412.",
        "schema": {"type": "string", "pattern": '^(\\*|"[0-9a-f.]{1,64}")$'},
        "example": "*",
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "description": "The ETag of a copy that the caller has. If it is still good, the answer "
        "is 304, without a body.",
        "schema": {"type": "string", "pattern": '^(\\*|(W/)?"[!#-~]{0,64}")$'},
        "example": '"3f2a.9c01"',
    },
}
# Each parameter is a member of the object, so that any name may follow the dot.
_METADATA: Final[Schema] = {
    "type": "object",
    "propertyNames": {"pattern": r"^metadata\.[A-Za-z0-9_-]{1,64}$"},
    "additionalProperties": {"type": "string", "maxLength": 200},
}


def build_parameters(operation: Operation, schemas: Mapping[str, Schema]) -> list[Schema]:
    """Return what a request says in path, query and headers."""
    fields = schemas[find_name(operation.request)].get("properties", {})
    built = [
        _build_parameter(name, "path", fields[name], is_required=True)
        for name in operation.path_parameters
    ]
    # What is not in the path of a GET request is in its query; else it is in the body.
    if not operation.changes:
        required = schemas[find_name(operation.request)].get("required", ())
        built += [
            _build_parameter(name, "query", field, is_required=name in required)
            for name, field in fields.items()
            if name not in operation.path_parameters
        ]
    built += [refer("parameters", name) for name in list_headers(operation)]
    return built


def list_headers(operation: Operation) -> list[str]:
    """Return which of HEADERS an operation knows."""
    return [
        name
        for name, is_known in (
            ("IdempotencyKey", operation.idempotent_by_key),
            ("IfMatch", operation.obeys_if_match),
            ("IfNoneMatch", operation.has_version and not operation.changes),
        )
        if is_known
    ]


def build_body(operation: Operation, schemas: Mapping[str, Schema]) -> Schema | None:
    """Return what stands in the body of a request, None if nothing does."""
    if not operation.changes:
        return None
    body = schemas[find_name(operation.request)]
    if not set(body.get("properties", {})) - set(operation.path_parameters):
        return None
    is_required = bool(set(body.get("required", ())) - set(operation.path_parameters))
    content: Schema = {"schema": refer("schemas", find_name(operation.request))}
    if operation.name in REQUESTS:
        content["example"] = REQUESTS[operation.name]
    return {"required": is_required, "content": {"application/json": content}}


def drop_path_fields(operation: Operation, schemas: Mapping[str, Schema]) -> None:
    """Take out of the schema of a body what stands in the path instead."""
    schema = schemas[find_name(operation.request)]
    for name in operation.path_parameters:
        schema["properties"].pop(name, None)
    required = [name for name in schema.pop("required", ()) if name in schema["properties"]]
    if required:
        schema["required"] = required


def _build_parameter(name: str, place: str, field: Schema, *, is_required: bool) -> Schema:
    schema = unwrap(field)
    description = schema.pop("description", None)
    built: Schema = {"name": name, "in": place, "required": is_required}
    if description:
        built["description"] = description
    if schema.get("type") == "object":
        built |= {"style": "form", "explode": True}
        schema = _METADATA
    return built | {"schema": schema}
