"""`/openapi.json`: what the API is, for programs. `/docs`: the same as a page, for people."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING, Final, NamedTuple

from aiohttp import web

from tokensvc import __version__
from tokensvc.operations.openapi.document import build_document, build_text
from tokensvc.web.reference_page import build_page

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

_JSON: Final = "application/json"
# The page needs one stylesheet, and nothing else may be loaded, run, sent or framed.
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


class _Document(NamedTuple):
    body: bytes
    content_type: str
    etag: str


def add_reference(app: web.Application, prefix: str, url: str, elsewhere: str | None) -> None:
    """Serve the reference below `prefix`. `url` and `elsewhere`: as in `build_document`."""
    document = build_document(url, __version__, elsewhere)
    style = files("tokensvc.web").joinpath("reference.css").read_text("utf-8")
    for path, text, content_type in (
        ("/openapi.json", build_text(document), _JSON),
        ("/docs", build_page(document), "text/html"),
        ("/docs.css", style, "text/css"),
    ):
        app.router.add_get(f"{prefix}{path}", _build_handler(text, content_type))


def _build_handler(text: str, content_type: str) -> Handler:
    body = text.encode("utf-8")
    document = _Document(body, content_type, hashlib.sha256(body).hexdigest()[:32])

    async def answer(request: web.Request) -> web.Response:
        return _answer(request, document)

    return answer


def _answer(request: web.Request, document: _Document) -> web.Response:
    if any(tag.value in {document.etag, "*"} for tag in request.if_none_match or ()):
        response = web.Response(status=304)
    elif document.content_type == _JSON:
        response = web.Response(body=document.body, content_type=_JSON)
    else:
        response = web.Response(
            body=document.body, content_type=document.content_type, charset="utf-8"
        )
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["Referrer-Policy"] = "no-referrer"
    response.etag = document.etag
    response.headers["Cache-Control"] = "public, no-cache"  # kept, and asked about each time
    return response
