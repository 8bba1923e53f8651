"""The OpenAPI document as one page of HTML, which needs no script."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Final

from tokensvc.web.reference_parts import (
    build_command,
    describe_place,
    describe_type,
    group_endpoints,
    resolve,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokensvc.web.reference_parts import ApiEndpoint, Schema

_CODE: Final = re.compile(r"`([^`]+)`")


def build_page(document: Schema) -> str:
    """Return the page."""
    info, groups = document["info"], group_endpoints(document)
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


def _build_tag(document: Schema, tag: Schema, found: list[ApiEndpoint]) -> str:
    endpoints = "".join(_build_endpoint(document, endpoint) for endpoint in found)
    return (
        f'<section><h2 id="{tag["name"]}">{escape(tag["name"])}</h2>'
        f"<p>{_mark_up(tag['description'])}</p>{endpoints}</section>\n"
    )


def _build_endpoint(document: Schema, endpoint: ApiEndpoint) -> str:
    method, path, facts = endpoint
    name = facts["operationId"]
    about = facts.get("description", "")
    parameters = [resolve(document, item) for item in facts.get("parameters", ())]
    return (
        f'<article><h3 id="{name}"><a href="#{name}">{escape(name)}</a></h3>'
        f'<p class="line"><b class="{method.lower()}">{method}</b> <code>{escape(path)}</code></p>'
        f"<p>{_mark_up(facts['summary'])} {_mark_up(about)}</p>"
        f"{_build_parameters(parameters)}{_build_body(facts)}"
        f"{_build_answers(document, facts)}"
        f"<pre>{escape(build_command(document, endpoint))}</pre></article>\n"
    )


def _build_parameters(parameters: list[Schema]) -> str:
    rows = [
        (
            f"<code>{escape(item['name'])}</code>",
            escape(
                describe_place(item["in"], item["schema"], is_required=item.get("required", False))
            ),
            _describe(item["schema"]),
            _mark_up(item.get("description", "")),
        )
        for item in parameters
    ]
    return _build_table("Parameters", rows)


def _build_body(facts: Schema) -> str:
    if "requestBody" not in facts:
        return ""
    ((content_type, content),) = facts["requestBody"]["content"].items()
    schema = content["schema"]
    about = f"<p>Body: {_describe(schema)} <small>{content_type}</small></p>"
    return about + _build_table("Fields of the body", _list_fields(schema))


def _build_answers(document: Schema, facts: Schema) -> str:
    rows = []
    for status, item in facts["responses"].items():
        answer = resolve(document, item)
        said = [
            _describe(content["schema"])
            for kind, content in answer.get("content", {}).items()
            if "problem" not in kind
        ]
        codes = [
            f'<a href="#model-Problem">{_show_code(code)}</a>'
            for content in answer.get("content", {}).values()
            for code in content.get("examples", ())
        ]
        rows.append((status, _mark_up(answer["description"]), " ".join(said + codes)))
    return _build_table("Answers", rows)


def _build_models(document: Schema) -> str:
    parts = []
    for name, schema in document["components"]["schemas"].items():
        rows = _list_fields(schema)
        parts.append(
            f'<article><h3 id="model-{name}"><a href="#model-{name}">{escape(name)}</a></h3>'
            f"<p>{_mark_up(schema.get('description', ''))}</p>{_build_table('Fields', rows)}"
            "</article>\n"
        )
    return f'<section><h2 id="models">models</h2>{"".join(parts)}</section>'


def _list_fields(schema: Schema) -> list[tuple[str, ...]]:
    required = schema.get("required", ())
    return [
        (
            _show_code(name),
            escape(describe_place("", field, is_required=name in required)),
            _describe(field),
            _mark_up(field.get("description", "")),
        )
        for name, field in schema.get("properties", {}).items()
    ]


def _build_table(caption: str, rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><caption>{caption}</caption>{lines}</table></div>'


def _describe(schema: Schema) -> str:
    """Return in HTML what a value may be."""
    return describe_type(schema, show_model=_link_model, show_value=_show_code)


def _link_model(name: str) -> str:
    return f'<a href="#model-{name}">{escape(name)}</a>'


def _show_code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _mark_up(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", escape(text))
