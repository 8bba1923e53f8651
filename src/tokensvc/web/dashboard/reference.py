"""The reference of the API, drawn from its OpenAPI document: a page for each thing to call."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from tokensvc import __version__
from tokensvc.operations.openapi.document import build_document
from tokensvc.web.app_keys import SERVICE
from tokensvc.web.dashboard.page import Page, View
from tokensvc.web.reference_parts import (
    build_command,
    describe_place,
    describe_type,
    group_endpoints,
    resolve,
)

if TYPE_CHECKING:
    from tokensvc.web.dashboard.page import Visit
    from tokensvc.web.reference_parts import ApiEndpoint, Schema


async def show_reference(visit: Visit) -> View:
    """Show all that can be called, by subject."""
    return View({"subjects": await _load(visit)})


async def show_subject(visit: Visit) -> View:
    """Show what can be called of one subject."""
    return View({"subject": await _find_subject(visit)})


async def show_endpoint(visit: Visit) -> View:
    """Show everything about one thing that can be called."""
    subject = await _find_subject(visit)
    for endpoint in subject["endpoints"]:
        if endpoint["name"] == visit.path["name"]:
            return View({"subject": subject, "endpoint": endpoint})
    raise web.HTTPNotFound


async def _find_subject(visit: Visit) -> dict[str, Any]:
    for subject in await _load(visit):
        if subject["name"] == visit.path["subject"]:
            return subject
    raise web.HTTPNotFound


async def _load(visit: Visit) -> list[dict[str, Any]]:
    # Building it takes a few tenths of a second, so it is done once, beside the loop.
    return await asyncio.to_thread(load_subjects, visit.request.app[SERVICE].settings.issuer_url)


@functools.lru_cache(maxsize=2)
def load_subjects(url: str) -> list[dict[str, Any]]:
    """Return what the API of the service at `url` has, by subject, as the templates want it."""
    document = build_document(url, __version__)
    groups = group_endpoints(document)
    return [
        {
            "name": tag["name"],
            "about": tag["description"],
            "endpoints": [_build_endpoint(document, each) for each in groups[tag["name"]]],
        }
        for tag in document["tags"]
    ]


def _build_endpoint(document: Schema, endpoint: ApiEndpoint) -> dict[str, Any]:
    method, path, facts = endpoint
    parameters = [resolve(document, item) for item in facts.get("parameters", ())]
    answers = [(status, resolve(document, a)) for status, a in facts["responses"].items()]
    bodies = list(facts.get("requestBody", {}).get("content", {}).values())
    fields = [
        (
            item["name"],
            describe_place(item["in"], item["schema"], is_required=item.get("required", False)),
            describe_type(item["schema"]),
            item.get("description", ""),
        )
        for item in parameters
    ]
    for body in bodies[:1]:
        fields += _list_fields(document, body["schema"], "body")
    good = [
        content["schema"]
        for status, answer in answers
        if status.startswith("2")
        for content in answer.get("content", {}).values()
    ]
    return {
        "name": facts["operationId"],
        "method": method,
        "path": path,
        "summary": facts["summary"],
        "about": facts.get("description", ""),
        "fields": fields,
        "answer": _list_fields(document, good[0], "") if good else [],
        "answers": [(status, answer["description"]) for status, answer in answers],
        "command": build_command(document, endpoint),
    }


def _list_fields(document: Schema, schema: Schema, place: str) -> list[tuple[str, str, str, str]]:
    model = resolve(document, schema)
    required = model.get("required", ())
    names = sorted(
        model.get("properties", {}), key=lambda name: bool(place) and name not in required
    )
    return [
        (
            name,
            describe_place(place, model["properties"][name], is_required=name in required),
            describe_type(model["properties"][name]),
            model["properties"][name].get("description", ""),
        )
        for name in names
    ]


PAGES: Final = (
    Page(path="/reference", act=show_reference, template="reference/list.html"),
    Page(path="/reference/{subject}", act=show_subject, template="reference/subject.html"),
    Page(path="/reference/{subject}/{name}", act=show_endpoint, template="reference/endpoint.html"),
)
