"""What both references of the API take out of its OpenAPI document: `/docs` and the dashboard's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Schema = Mapping[str, Any]


class ApiEndpoint(NamedTuple):
    """One thing that can be called. `facts`: what the document says of it."""

    method: str
    path: str
    facts: Schema


def group_endpoints(document: Schema) -> dict[str, list[ApiEndpoint]]:
    """Return all endpoints, by their tag."""
    groups: dict[str, list[ApiEndpoint]] = {}
    for path, item in document["paths"].items():
        for method, facts in item.items():
            if method != "servers":
                groups.setdefault(facts["tags"][0], []).append(
                    ApiEndpoint(method.upper(), path, facts)
                )
    return groups


def resolve(document: Schema, item: Schema) -> Schema:
    """Return what a reference to a component stands for; anything else as it is."""
    if not str(item.get("$ref", "")).startswith("#/components/"):
        return item
    _, _, kind, name = item["$ref"].split("/")
    found: Schema = document["components"][kind][name]
    return found


def describe_type(
    schema: Schema,
    *,
    show_model: Callable[[str], str] = str,
    show_value: Callable[[str], str] = str,
) -> str:
    """Return in words what a value may be.

    `show_model` makes of the name of a model, and `show_value` of a value, what is shown of it.
    """

    def list_types(schema: Schema) -> Iterator[str]:
        if "$ref" in schema:
            yield show_model(schema["$ref"].rpartition("/")[2])
        elif "enum" in schema or "const" in schema:
            yield from (show_value(str(one)) for one in schema.get("enum", [schema.get("const")]))
        elif schema.get("type") == "array":
            yield f"list of {describe(schema['items'])}"
        elif "type" in schema:
            yield str(schema.get("format", schema["type"]))
        for inner in schema.get("anyOf", ()):
            yield from list_types(inner)

    def describe(schema: Schema) -> str:
        return " or ".join(dict.fromkeys(list_types(schema))) or "any JSON"

    return describe(schema)


def describe_place(place: str, schema: Schema, *, is_required: bool) -> str:
    """Return where a value stands, and whether it is required, or what is taken if it is absent."""
    default = schema.get("default")
    text = default if isinstance(default, str) else json.dumps(default)
    has_default = default not in (None, "", [], {})
    need = "required" if is_required else f"default {text}" if has_default else ""
    return ", ".join(word for word in (place, need) if word)


def build_command(document: Schema, endpoint: ApiEndpoint) -> str:
    """Return a call by curl. The credential stands in a file, so that no list shows it."""
    method, path, facts = endpoint
    words = ["curl -s"]
    if any(facts["security"]):
        words.append("-K admin.curl")
    for item in facts.get("parameters", ()):
        parameter = resolve(document, item)
        if parameter["in"] == "path":
            value = str(parameter["schema"].get("examples", [parameter["name"].upper()])[0])
            path = path.replace(f"{{{parameter['name']}}}", value)
    contents = facts.get("requestBody", {}).get("content", {}).values()
    example = next((content.get("example") for content in contents), None)
    if method not in {"GET", "POST"} or (method == "POST" and example is None):
        words.append(f"-X {method}")
    words.append(f"$URL{path}")
    if example is not None and "oauth" in facts["tags"]:
        words += [f"-d {name}={value}" for name, value in example.items()]
    elif example is not None:
        quoted = json.dumps(example, indent=2).replace("'", "'\\''")
        words.append(f"--json '{quoted}'")
    return " ".join(words)
