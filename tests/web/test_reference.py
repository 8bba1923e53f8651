"""`/openapi.json` and `/docs`."""

from __future__ import annotations

import re


async def read(client, path, **headers):
    async with client.get(path, headers=headers) as answer:
        return answer.status, answer.headers, await answer.text()


async def test_the_document_is_told_whose_copy_is_good(client):
    async with client.get("/openapi.json") as answer:
        document = await answer.json()
        etag = answer.headers["ETag"]
    assert document["openapi"] == "3.1.0"
    status, headers, body = await read(client, "/openapi.json", **{"If-None-Match": etag})
    assert (status, headers["ETag"], body) == (304, etag, "")


async def test_the_document_names_each_path_that_is_served_and_no_other(client):
    async with client.get("/openapi.json") as answer:
        told = {
            (method.upper(), path)
            for path, item in (await answer.json())["paths"].items()
            for method in item
        }
    own = {"/openapi.json", "/docs", "/docs.css", "/notices/confirm", "/notices/unsubscribe"}
    served = {
        (route.method, route.resource.canonical)
        for route in client.app.router.routes()
        if route.method not in {"HEAD", "OPTIONS"}
        and route.resource.canonical not in own
        and not route.resource.canonical.startswith("/dashboard")
    }
    assert told == served


async def test_the_page_needs_nothing_but_its_stylesheet(client):
    status, headers, page = await read(client, "/docs")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'")
    assert "<script" not in page
    assert "style=" not in page
    assert re.findall(r'(?:href|src)="([^#"][^"]*)"', page) == ["docs.css", "openapi.json"]
    status, headers, _ = await read(client, "/docs.css")
    assert (status, headers["Content-Type"]) == (200, "text/css; charset=utf-8")


async def test_the_page_tells_of_fields_what_they_mean_and_what_is_taken_if_they_are_absent(client):
    _, _, page = await read(client, "/docs")
    assert "<td>query, default 100</td><td>integer</td><td>How many things at most" in page
    assert "<td>default ES256</td>" in page
    assert "<code>subject_token_type</code>" in page


async def test_each_link_within_the_page_leads_to_a_place(client):
    _, _, page = await read(client, "/docs")
    anchors = re.findall(r' id="([^"]+)"', page)
    assert len(anchors) == len(set(anchors))
    assert {"keys.create", "token.exchange", "model-Key"} <= set(anchors)
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(anchors)
