"""What scripts of other origins may read in a browser: the published documents and the feed.

They are asked for without cookies. Whatever takes a credential in its body stays closed: no script
of another origin can read what token, revoke and introspect answer.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

PUBLIC_PATHS: Final = (
    "/v1/denylist",
    "/v1/audit-heads",
    "/.well-known/jwks.json",
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
)
# The same for every origin: no answer depends on who asks, so caches need no `Vary: Origin`.
ANY_ORIGIN: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "ETag, Retry-After",
}
_PREFLIGHT: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET",
    "Access-Control-Allow-Headers": "If-None-Match, Authorization",
    "Access-Control-Max-Age": "86400",
    "Allow": "GET,HEAD,OPTIONS",
}


async def answer_preflight(request: web.Request) -> web.Response:
    """Answer what a browser asks before it sends a request with special headers."""
    del request
    return web.Response(status=204, headers=_PREFLIGHT)
