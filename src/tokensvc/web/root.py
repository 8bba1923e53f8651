"""`GET /`: what this is, and where everything else is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from aiohttp import web

from tokensvc import __version__
from tokensvc.web.dashboard.page import ROOT

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

_PUBLIC: Final = {
    "metadata": "/.well-known/oauth-authorization-server",
    "jwks": "/.well-known/jwks.json",
    "token": "/v1/token",
    "revoke": "/v1/revoke",
    "introspect": "/v1/introspect",
    "denylist": "/v1/denylist",
    "readiness": "/readyz",
}
_FOR_PEOPLE: Final = {"openapi": "/openapi.json", "docs": "/docs", "dashboard": f"{ROOT}/"}
# What RFC 8414 and probes want in front of the path of the issuer.
_AT_ROOT: Final = ("metadata", "readiness")


def build_root(issuer_url: str, *, has_dashboard: bool) -> Handler:
    """Return the handler. It sends a browser to the dashboard, if that is served here."""
    path = urlsplit(issuer_url).path
    origin = issuer_url.removesuffix(path) if path else issuer_url
    links = {name: f"{issuer_url}{place}" for name, place in _PUBLIC.items()}
    links |= {name: f"{origin}{_PUBLIC[name]}" for name in _AT_ROOT}
    links["metadata"] += path
    if has_dashboard:
        links |= {name: f"{issuer_url}{place}" for name, place in _FOR_PEOPLE.items()}
    answer = {"name": "tokensvc", "version": __version__, "issuer": issuer_url, "links": links}

    async def get_root(request: web.Request) -> web.Response:
        if has_dashboard and "text/html" in request.headers.get("Accept", ""):
            return web.Response(status=303, headers={"Location": f"{path}{ROOT}/"})
        return web.json_response(answer)

    return get_root
