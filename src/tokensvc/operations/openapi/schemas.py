"""The models of the table as JSON schemas."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from tokensvc.operations.model import ListPage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tokensvc.operations.operation import Operation

    Schema = dict[str, Any]

_PAGE: Final = re.compile(r"\bListPage_([A-Za-z]+)_")
_ANY_JSON: Final = {"description": "Any JSON value."}


class _Generator(GenerateJsonSchema):
    """Says that a field of an answer is always there, and leaves out titles that repeat names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002 - pydantic's
        return False

    def field_is_required(self, field: Any, total: bool) -> bool:  # noqa: ANN401, FBT001
        return self.mode == "serialization" or super().field_is_required(field, total)


def build_schemas(operations: Iterable[Operation]) -> dict[str, Schema]:
    """Return the schemas of all requests and answers, by the name of the model."""
    wanted: dict[tuple[Any, Any], None] = {}
    for operation in operations:
        for model, mode in (
            (operation.request, "validation"),
            (operation.response, "serialization"),
        ):
            model.model_rebuild()
            wanted[model, mode] = None
    _, found = models_json_schema(
        list(wanted),
        ref_template="#/components/schemas/{model}",
        schema_generator=_Generator,
    )
    schemas: dict[str, Schema] = json.loads(_PAGE.sub(r"\1Page", json.dumps(found["$defs"])))
    for schema in schemas.values():
        schema.pop("title", None)
        # Only the lists of things have no text of their own, as Python makes their classes.
        schema.setdefault("description", ListPage.__doc__)
    schemas["JsonValue"] = dict(_ANY_JSON)
    return schemas


def find_name(model: type) -> str:
    """Return the name of a model's schema."""
    return re.sub(r"^ListPage\[(\w+)\]$", r"\1Page", model.__name__)


def refer(kind: str, name: str) -> Schema:
    """Return a reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def describe_codes(codes: Iterable[str], titles: Mapping[str, str]) -> str:
    """Return what the codes of a refusal mean, a sentence each."""
    return " ".join(f"`{code}`: {titles[code]}." for code in codes)


def unwrap(schema: Mapping[str, Any]) -> Schema:
    """Return the schema of a field without the null that it may be."""
    plain = {name: value for name, value in schema.items() if name != "anyOf"}
    if plain.get("default", ...) is None:
        del plain["default"]
    for choice in schema.get("anyOf", ()):
        if choice != {"type": "null"}:
            plain = {**choice, **plain}
    return plain
