"""The OpenAPI document as one page of HTML, which needs no script."""

from __future__ import annotations

import json
import re
from html import escape
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Schema = Mapping[str, Any]

_CODE: Final = re.compile(r"`([^`]+)`")


def build_page(document: Schema) -> str:
    """Return the page."""
    info, groups = document["info"], _group(document)
    parts = [_build_tag(document, tag, groups[tag["name"]]) for tag in document["tags"]]
    links = "".join(
        f'<li><a href="#{tag["name"]}">{escape(tag["name"])}</a></li>' for tag in document["tags"]
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        '<title>HTTP API of tokensvc</title><link rel="stylesheet" href="docs.css"></head><body>\n'
        f'<nav aria-label="Subjects"><p><b>tokensvc</b> {escape(info["version"])}</p>'
        f'<ul>{links}<li><a href="#models">models</a></li></ul></nav>\n'
        f"<main><h1>HTTP API</h1><p>{_mark_up(info['description'])}</p>"
        '<p>For programs: <a href="openapi.json">openapi.json</a> (OpenAPI 3.1).</p>\n'
        f"{''.join(parts)}{_build_models(document)}</main></body></html>\n"
    )


def _group(document: Schema) -> dict[str, list[tuple[str, str, Schema]]]:
    """Return (method, path, endpoint) of all endpoints, by their tag."""
    groups: dict[str, list[tuple[str, str, Schema]]] = {}
    for path, item in document["paths"].items():
        for method, endpoint in item.items():
            if method != "servers":
                groups.setdefault(endpoint["tags"][0], []).append((method.upper(), path, endpoint))
    return groups


def _build_tag(document: Schema, tag: Schema, found: list[tuple[str, str, Schema]]) -> str:
    endpoints = "".join(_build_endpoint(document, *endpoint) for endpoint in found)
    return (
        f'<section><h2 id="{tag["name"]}">{escape(tag["name"])}</h2>'
        f"<p>{_mark_up(tag['description'])}</p>{endpoints}</section>\n"
    )


def _build_endpoint(document: Schema, method: str, path: str, endpoint: Schema) -> str:
    name = endpoint["operationId"]
    about = endpoint.get("description", "")
    parameters = [_resolve(document, item) for item in endpoint.get("parameters", ())]
    return (
        f'<article><h3 id="{name}"><a href="#{name}">{escape(name)}</a></h3>'
        f'<p class="line"><b class="{method.lower()}">{method}</b> <code>{escape(path)}</code></p>'
        f"<p>{_mark_up(endpoint['summary'])} {_mark_up(about)}</p>"
        f"{_build_parameters(parameters)}{_build_body(endpoint)}"
        f"{_build_answers(document, endpoint)}"
        f"<pre>{escape(build_command(document, method, path, endpoint))}</pre></article>\n"
    )


def _build_parameters(parameters: list[Schema]) -> str:
    rows = [
        (
            f"<code>{escape(item['name'])}</code>",
            f"{item['in']}{', required' if item.get('required') else ''}",
            describe_type(item["schema"]),
            _mark_up(item.get("description", "")),
        )
        for item in parameters
    ]
    return _build_table("Parameters", rows)


def _build_body(endpoint: Schema) -> str:
    if "requestBody" not in endpoint:
        return ""
    ((content_type, content),) = endpoint["requestBody"]["content"].items()
    return f"<p>Body: {describe_type(content['schema'])} <small>{content_type}</small></p>"


def _build_answers(document: Schema, endpoint: Schema) -> str:
    rows = []
    for status, item in endpoint["responses"].items():
        answer = _resolve(document, item)
        said = [
            describe_type(content["schema"])
            for kind, content in answer.get("content", {}).items()
            if "problem" not in kind
        ]
        codes = [
            f"<code>{escape(code)}</code>"
            for content in answer.get("content", {}).values()
            for code in content.get("examples", ())
        ]
        rows.append((status, _mark_up(answer["description"]), " ".join(said + codes)))
    return _build_table("Answers", rows)


def _build_models(document: Schema) -> str:
    parts = []
    for name, schema in document["components"]["schemas"].items():
        required = schema.get("required", ())
        rows = [
            (
                f"<code>{escape(field)}</code>",
                "required" if field in required else "",
                describe_type(inner),
                _mark_up(inner.get("description", "")),
            )
            for field, inner in schema.get("properties", {}).items()
        ]
        parts.append(
            f'<article><h3 id="model-{name}"><a href="#model-{name}">{escape(name)}</a></h3>'
            f"<p>{_mark_up(schema.get('description', ''))}</p>{_build_table('Fields', rows)}"
            "</article>\n"
        )
    return f'<section><h2 id="models">models</h2>{"".join(parts)}</section>'


def _build_table(caption: str, rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><caption>{caption}</caption>{lines}</table></div>'


def describe_type(schema: Schema) -> str:
    """Return in HTML what a value may be."""
    return " or ".join(dict.fromkeys(_list_types(schema))) or "any JSON"


def _list_types(schema: Schema) -> Iterator[str]:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        yield f'<a href="#model-{name}">{escape(name)}</a>'
    elif "enum" in schema or "const" in schema:
        for value in schema.get("enum", [schema.get("const")]):
            yield f"<code>{escape(str(value))}</code>"
    elif schema.get("type") == "array":
        yield f"list of {describe_type(schema['items'])}"
    elif "type" in schema:
        yield escape(schema.get("format", schema["type"]))
    for inner in schema.get("anyOf", ()):
        yield from _list_types(inner)


def build_command(document: Schema, method: str, path: str, endpoint: Schema) -> str:
    """Return a call by curl. The credential stands in a file, so that no list shows it."""
    words = ["curl -s"]
    if any(endpoint["security"]):
        words.append("-K admin.curl")
    for item in endpoint.get("parameters", ()):
        parameter = _resolve(document, item)
        if parameter["in"] == "path":
            value = str(parameter["schema"].get("examples", [parameter["name"].upper()])[0])
            path = path.replace(f"{{{parameter['name']}}}", value)
    contents = endpoint.get("requestBody", {}).get("content", {}).values()
    example = next((content.get("example") for content in contents), None)
    if method not in {"GET", "POST"} or (method == "POST" and example is None):
        words.append(f"-X {method}")
    words.append(f"$URL{path}")
    if example is not None and "oauth" in endpoint["tags"]:
        words += [f"-d {name}={value}" for name, value in example.items()]
    elif example is not None:
        quoted = json.dumps(example, indent=2).replace("'", "'\\''")
        words.append(f"--json '{quoted}'")
    return " ".join(words)


def _resolve(document: Schema, item: Schema) -> Schema:
    if "$ref" not in item:
        return item
    _, _, kind, name = item["$ref"].split("/")
    found: Schema = document["components"][kind][name]
    return found


def _mark_up(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", escape(text))
