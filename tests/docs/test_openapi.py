"""The OpenAPI document: valid, whole, and as the committed copy says."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema_rs
import pytest

from tokensvc import __version__
from tokensvc.operations.openapi.document import build_document, build_text
from tokensvc.operations.openapi.examples import REQUESTS
from tokensvc.operations.problem import TITLES
from tokensvc.operations.table import OPERATIONS
from tokensvc.web.operations.reading import build_request

COPY = Path(__file__).parent.parent.parent / "docs" / "openapi.json"
DOCUMENT = build_document("http://127.0.0.1:8080", __version__)


def list_endpoints():
    return {
        endpoint["operationId"]: (method.upper(), path, endpoint)
        for path, item in DOCUMENT["paths"].items()
        for method, endpoint in item.items()
        if method != "servers"
    }


def list_references(value):
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from list_references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from list_references(inner)


def list_described(part, place="#"):
    """Yield all that must have a description, with its place: fields, parameters, answers, ..."""
    if isinstance(part, list):
        part = dict(enumerate(part))
    elif not isinstance(part, dict):
        return
    if part.keys() >= {"operationId", "responses"} or "in" in part:
        yield place, part  # an endpoint, a parameter
    for kind in ("properties", "schemas", "headers", "responses"):
        for name, inner in part.get(kind, {}).items():
            if kind == "properties" or "$ref" not in inner:
                yield f"{place}/{kind}/{name}", inner
    for name, inner in part.items():
        if name not in {"example", "examples", "default", "links"}:
            yield from list_described(inner, f"{place}/{name}")


def test_the_committed_copy_is_what_the_table_says():
    assert COPY.read_text() == build_text(DOCUMENT), "write it anew: make openapi"


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_has_its_entry(name):
    operation = OPERATIONS[name]
    method, path, endpoint = list_endpoints()[name]
    assert (method, path) == (operation.method, operation.path)
    assert str(operation.status) in endpoint["responses"]
    assert endpoint["security"]
    assert endpoint["tags"][0] in {tag["name"] for tag in DOCUMENT["tags"]}


def test_every_reference_leads_somewhere_and_every_component_is_used():
    used = set(list_references(DOCUMENT))
    there = {
        f"#/components/{kind}/{name}"
        for kind, components in DOCUMENT["components"].items()
        for name in components
        if kind != "securitySchemes"
    }
    assert used - there == set()
    assert there - used <= {
        "#/components/responses/MethodNotAllowed",
        "#/components/headers/Deprecation",
        "#/components/headers/Sunset",
    }


def test_every_field_parameter_answer_and_endpoint_is_described():
    described = dict(list_described(DOCUMENT))
    assert len(described) > 1000
    assert [place for place, part in described.items() if not part.get("description")] == []


def test_every_code_of_a_problem_is_told():
    responses = DOCUMENT["components"]["responses"].values()
    told = {
        code
        for response in responses
        for code in response["content"].get("application/problem+json", {}).get("examples", ())
    }
    assert told == set(TITLES)


def test_every_body_has_an_example_that_the_operation_takes():
    for name, (_, _, endpoint) in list_endpoints().items():
        if name in OPERATIONS and "requestBody" in endpoint:
            operation = OPERATIONS[name]
            if endpoint["requestBody"]["required"]:
                assert name in REQUESTS, name
            body = REQUESTS.get(name, {})
            path = {item["name"]: item["schema"]["examples"][0]
                    for item in endpoint["parameters"] if item.get("in") == "path"}  # fmt: skip
            build_request(operation, path=path, query=[], body=body)


@pytest.mark.parametrize("name", DOCUMENT["components"]["responses"])
def test_every_example_of_a_problem_is_one(name):
    for content in DOCUMENT["components"]["responses"][name]["content"].values():
        root = {**content["schema"], "components": DOCUMENT["components"]}
        validator = jsonschema_rs.Draft202012Validator(root)
        for example in content.get("examples", {}).values():
            validator.validate(example["value"])


def test_a_port_of_its_own_and_a_path_of_the_issuer_are_told():
    document = build_document("https://example.org/auth", "1", "https://admin.example.org")
    assert document["servers"] == [{"url": "https://admin.example.org"}]
    paths = document["paths"]
    assert paths["/v1/token"]["servers"] == [{"url": "https://example.org/auth"}]
    assert paths["/livez"]["servers"] == [{"url": "https://example.org"}]
    assert "/.well-known/oauth-authorization-server/auth" in paths
    assert json.dumps(document)
