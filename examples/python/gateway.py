"""A service that a proxy asks about each request: 200 if its token has `orders:read`.

    ISSUER=http://127.0.0.1:8080 AUDIENCE=api PORT=9001 python examples/python/gateway.py

`examples/proxy/` has nginx and Envoy that ask it. The services behind the proxy need not know of
tokens at all: they read whom a request is for from `X-Account` and `X-Scope`. It answers from
memory, and a revoked token is refused within a second.
"""

from __future__ import annotations

import logging
import os

from aiohttp import web

from tokensvc.verify import Verifier
from tokensvc.verify.aiohttp import CLAIMS, auth_middleware, follow, requires


@requires("orders:read")
async def allow(request: web.Request) -> web.Response:
    """Say whom the token belongs to, and what it may do."""
    claims = request[CLAIMS]
    # Envoy takes no other answer of success than 200.
    return web.Response(headers={"X-Account": claims.sub, "X-Scope": " ".join(claims.scope)})


def build_app(verifier: Verifier) -> web.Application:
    """Return the application: every path is about the request's token alone."""
    app = web.Application(middlewares=[auth_middleware(verifier)])
    app.cleanup_ctx.append(follow(verifier))
    app.router.add_route("*", "/{path:.*}", allow)
    return app


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    web.run_app(
        build_app(Verifier(issuer=os.environ["ISSUER"], audience=os.environ["AUDIENCE"])),
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
    )
