"""`/openapi.json`: what the API is, for programs. `/docs`: the same as a page, for people.

Building them takes a few tenths of a second, which no start of a service should wait for. So they
are built when somebody asks for the first time, in a thread, so that other requests go on.
"""

from __future__ import annotations

import asyncio
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING, Final, NamedTuple

from aiohttp import web

from tokensvc import __version__
from tokensvc.operations.openapi.document import build_document, build_text
from tokensvc.web.reference_page import build_page

if TYPE_CHECKING:
    from collections.abc import Mapping

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


class Reference:
    """The reference of a service. `url` and `elsewhere` are as in `build_document`."""

    def __init__(self, url: str, elsewhere: str | None = None) -> None:
        self._url = url
        self._elsewhere = elsewhere
        self._building: asyncio.Future[Mapping[str, _Document]] | None = None

    def add_to(self, app: web.Application, prefix: str) -> None:
        """Serve the reference below `prefix`."""
        for path in ("/openapi.json", "/docs", "/docs.css"):
            app.router.add_get(f"{prefix}{path}", self._build_handler(path))

    def _build_handler(self, path: str) -> Handler:
        async def answer(request: web.Request) -> web.Response:
            if self._building is None:
                self._building = asyncio.ensure_future(asyncio.to_thread(self._build))
            # A client that goes away must not take the documents from those who wait with it.
            documents = await asyncio.shield(self._building)
            return _answer(request, documents[path])

        return answer

    def _build(self) -> Mapping[str, _Document]:
        document = build_document(self._url, __version__, self._elsewhere)
        style = files("tokensvc.web").joinpath("reference.css").read_text("utf-8")
        return {
            "/openapi.json": _build_answer(build_text(document), _JSON),
            "/docs": _build_answer(build_page(document), "text/html"),
            "/docs.css": _build_answer(style, "text/css"),
        }


def _build_answer(text: str, content_type: str) -> _Document:
    body = text.encode("utf-8")
    return _Document(body, content_type, hashlib.sha256(body).hexdigest()[:32])


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
